/**
 * LimitRanger: containers that say nothing get what the namespace gives them, and what is beyond its limits is refused.
 * Source: Kubernetes documentation, "Limit Ranges", and the messages of its plugin.
 */
import type { Container, LimitRangeItem, PodSpec } from 'kubernetes-types/core/v1.js';
import { LimitRange } from '../../kinds/core/limit-range.ts';
import type { Pod } from '../../kinds/core/pod.ts';
import type { KubeObject } from '../../kinds/object.ts';
import { type Amounts, containerAmounts } from '../../kinds/pod-amounts.ts';
import { compareQuantities, quantity } from '../../kinds/quantity.ts';
import { forbidden } from '../../kinds/status.ts';
import type { AdmissionPlugin, AdmissionRequest } from './admission.ts';

/** Tells what has been filled in. */
const ANNOTATION = 'kubernetes.io/limit-ranger';

const isCore = ({ kind }: AdmissionRequest, plural: string) => kind.group === '' && kind.plural === plural;
const createsPod = (request: AdmissionRequest) =>
	isCore(request, 'pods') && request.operation === 'CREATE' && !request.subresource;

export const limitRanger: AdmissionPlugin = {
	name: 'LimitRanger',
	handles: (request) =>
		createsPod(request) ||
		(isCore(request, 'pods') && request.operation === 'UPDATE' && request.subresource === 'resize') ||
		(isCore(request, 'persistentvolumeclaims') &&
			(request.operation === 'CREATE' || request.operation === 'UPDATE') &&
			!request.subresource),
	mutate(request) {
		if (!createsPod(request)) return 'nothing';
		const pod = request.object as unknown as Pod;
		let filled = false;
		for (const range of rangesOf(request)) filled = fillIn(pod, range) || filled;
		return filled ? 'filled' : 'nothing';
	},
	validate(request) {
		for (const range of rangesOf(request)) {
			const wrong = isCore(request, 'pods')
				? podBreaches(range, (request.object as unknown as Pod).spec)
				: claimBreaches(range, request.object as unknown as Claim);
			if (wrong.length > 0)
				throw forbidden(request.kind, request.name, wrong.length === 1 ? `${wrong[0]}` : `[${wrong.join(', ')}]`);
		}
	},
};

const rangesOf = ({ list, namespace }: AdmissionRequest) =>
	namespace === undefined ? [] : (list(LimitRange, namespace) as readonly LimitRange[]);

const itemsOf = ({ spec }: LimitRange, type: string): readonly LimitRangeItem[] =>
	spec?.limits.filter((item) => item.type === type) ?? [];

/** Gives containers what they do not say, in place. Whether there was something to give. */
export function fillIn(pod: Pod, range: LimitRange): boolean {
	const items = itemsOf(range, 'Container');
	const requests: Amounts = Object.assign({}, ...items.map(({ defaultRequest }) => defaultRequest));
	const limits: Amounts = Object.assign({}, ...items.map((item) => item.default));
	// What the pod lacks is told when it is validated.
	const { containers = [], initContainers = [] }: Partial<PodSpec> = pod.spec ?? {};
	const said = [
		...containers.flatMap((container) => fillContainer(container, 'container', requests, limits)),
		...initContainers.flatMap((one) => fillContainer(one, 'init container', requests, limits)),
	];
	if (said.length === 0) return false;
	pod.metadata.annotations = {
		...pod.metadata.annotations,
		[ANNOTATION]: `LimitRanger plugin set: ${said.join('; ')}`,
	};
	return true;
}

function fillContainer(container: Container, called: string, requests: Amounts, limits: Amounts): string[] {
	const { resources } = container;
	const missing = (given: Amounts, has: Amounts = {}) => Object.keys(given).filter((name) => !(name in has));
	const [requested, limited] = [missing(requests, resources?.requests), missing(limits, resources?.limits)];
	if (requested.length + limited.length === 0) return [];
	container.resources = {
		...resources,
		requests: { ...requests, ...resources?.requests },
		limits: { ...limits, ...resources?.limits },
	};
	return [
		...(requested.length > 0 ? [`${requested.sort().join(', ')} request for ${called} ${container.name}`] : []),
		...(limited.length > 0 ? [`${limited.sort().join(', ')} limit for ${called} ${container.name}`] : []),
	];
}

/** What is wrong with a pod, container by container, and as a whole. */
export function podBreaches(range: LimitRange, spec: PodSpec): string[] {
	const ofContainers = itemsOf(range, 'Container').flatMap((item) =>
		[...spec.containers, ...(spec.initContainers ?? [])].flatMap(({ resources }) =>
			breaches(item, resources?.requests ?? {}, resources?.limits ?? {}),
		),
	);
	const ofPod = itemsOf(range, 'Pod').flatMap((item) =>
		breaches(item, containerAmounts(spec, 'requests'), containerAmounts(spec, 'limits')),
	);
	return [...ofContainers, ...ofPod];
}

interface Claim extends KubeObject {
	readonly spec?: { readonly resources?: { readonly requests?: Amounts } };
}

/** What is wrong with what a claim asks for. It has no limits. */
export function claimBreaches(range: LimitRange, { spec }: Claim): string[] {
	const requests = spec?.resources?.requests ?? {};
	return itemsOf(range, 'PersistentVolumeClaim').flatMap((item) => [
		...each(item.min, (name, least) => tooLittle(item.type, name, least, requests, {})),
		...each(item.max, (name, most) => {
			const start = `maximum ${name} usage per ${item.type} is ${most}`;
			const request = requests[name];
			if (request === undefined) return `${start}.  No request is specified`;
			return compareQuantities(request, most) > 0 ? `${start}, but request is ${request}` : undefined;
		}),
	]);
}

function breaches(item: LimitRangeItem, requests: Amounts, limits: Amounts): string[] {
	return [
		...each(item.min, (name, least) => tooLittle(item.type, name, least, requests, limits)),
		...each(item.max, (name, most) => tooMuch(item.type, name, most, requests, limits)),
		...each(item.maxLimitRequestRatio, (name, ratio) => tooFarApart(item.type, name, ratio, requests, limits)),
	];
}

const each = (amounts: Amounts | undefined, check: (name: string, amount: string) => string | undefined): string[] =>
	Object.keys(amounts ?? {})
		.sort()
		.flatMap((name) => check(name, amounts?.[name] ?? '0') ?? []);

function tooLittle(type: string, name: string, least: string, requests: Amounts, limits: Amounts): string | undefined {
	const start = `minimum ${name} usage per ${type} is ${least}`;
	const [request, limit] = [requests[name], limits[name]];
	if (request === undefined) return `${start}.  No request is specified`;
	if (compareQuantities(request, least) < 0) return `${start}, but request is ${request}`;
	if (limit !== undefined && compareQuantities(limit, least) < 0) return `${start}, but limit is ${limit}`;
	return undefined;
}

function tooMuch(type: string, name: string, most: string, requests: Amounts, limits: Amounts): string | undefined {
	const start = `maximum ${name} usage per ${type} is ${most}`;
	const [request, limit] = [requests[name], limits[name]];
	if (limit === undefined) return `${start}.  No limit is specified`;
	if (compareQuantities(limit, most) > 0) return `${start}, but limit is ${limit}`;
	if (request !== undefined && compareQuantities(request, most) > 0) return `${start}, but request is ${request}`;
	return undefined;
}

function tooFarApart(
	type: string,
	name: string,
	ratio: string,
	requests: Amounts,
	limits: Amounts,
): string | undefined {
	const start = `${name} max limit to request ratio per ${type} is ${ratio}`;
	const [request, limit] = [quantity(requests[name] ?? '0'), quantity(limits[name] ?? '0')];
	if (request === 0) return `${start}, but no request is specified or request is 0`;
	if (limit === 0) return `${start}, but no limit is specified or limit is 0`;
	const provided = limit / request;
	return provided > quantity(ratio) ? `${start}, but provided ratio is ${provided.toFixed(6)}` : undefined;
}
