/** Which pod and container the words `web` and `deployment/web` mean, for logs and exec. */
import type { HttpClient } from '../../client/index.ts';
import { type KubeObject, Pod, selectorText } from '../../kinds/index.ts';
import { UserError } from '../user-error.ts';
import { nameOf } from './print.ts';
import { kindsOf } from './resource-types.ts';

/** The container that a pod names as the one that is meant. Source: Kubernetes documentation, "Well-Known Labels, Annotations and Taints". */
const DEFAULT_CONTAINER = 'kubectl.kubernetes.io/default-container';

export interface Found {
	readonly pod: Pod;
	/** How many there were to choose from. */
	readonly among: number;
}

/** The pod of `NAME`, `pod/NAME`, or one of the pods that `TYPE/NAME` selects: one that runs and is ready, if any does. Throws ApiError or a UserError. */
export async function findPod(client: HttpClient, word: string, namespace: string): Promise<Found> {
	if (!word.includes('/')) return { pod: await client.get(Pod, { namespace, name: word }), among: 1 };
	const [type = '', name = '', ...more] = word.split('/');
	if (!type || !name || more.length > 0) throw new UserError(`${JSON.stringify(word)} is not POD or TYPE/NAME`);
	const [kind] = await kindsOf(client, type);
	if (!kind) throw new UserError(`${JSON.stringify(type)} is no type of resource`);
	if (kind.kind === 'Pod' && kind.group === '') return { pod: await client.get(Pod, { namespace, name }), among: 1 };
	const selector = selectorOf(await client.get(kind, { namespace, name }));
	if (!selector) throw new UserError(`${nameOf(kind, name)} selects no pods: name a pod`, 1);
	const { items } = await client.list(Pod, { namespace, labelSelector: selector });
	const [pod] = byUse(items);
	if (!pod) throw new UserError(`${nameOf(kind, name)} has no pods (${selector})`, 1);
	return { pod, among: items.length };
}

/** The text of spec.selector: a LabelSelector as workloads have it, or a map as services have it. */
export function selectorOf(object: KubeObject): string | undefined {
	const { spec } = object as KubeObject & { readonly spec?: { readonly selector?: unknown } };
	return selectorText(spec?.selector) || undefined;
}

/** The most useful first: running and ready before running before others, then the one that has been there for longest. */
export function byUse(pods: readonly Pod[]): Pod[] {
	const rank = (pod: Pod) => {
		if (pod.metadata.deletionTimestamp || pod.status?.phase !== 'Running') return 2;
		return pod.status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ? 0 : 1;
	};
	const created = (pod: Pod) => pod.metadata.creationTimestamp ?? '';
	return [...pods].sort((a, b) => rank(a) - rank(b) || created(a).localeCompare(created(b)));
}

export interface Chosen {
	readonly container: string;
	/** The others, where the choice was not the user's. */
	readonly outOf?: readonly string[];
}

/** The named container, or the pod's default: the one that it names, or its first. Throws a UserError that names those there are. */
export function chooseContainer(pod: Pod, wanted: string | undefined): Chosen {
	const all = containersOf(pod);
	const about = `pod ${pod.metadata.name}`;
	if (wanted !== undefined) {
		if (all.includes(wanted)) return { container: wanted };
		throw new UserError(`${about} has no container ${JSON.stringify(wanted)}; it has: ${all.join(', ')}`, 1);
	}
	const marked = pod.metadata.annotations?.[DEFAULT_CONTAINER];
	if (marked !== undefined && all.includes(marked)) return { container: marked };
	const [first] = pod.spec.containers;
	if (!first) throw new UserError(`${about} has no containers`, 1);
	return all.length > 1 ? { container: first.name, outOf: all } : { container: first.name };
}

/** Names of all containers: those that run first, then those of its start, then those for debugging. */
export function containersOf({ spec }: Pod): string[] {
	return [...spec.containers, ...(spec.initContainers ?? []), ...(spec.ephemeralContainers ?? [])].map(
		({ name }) => name,
	);
}

/** The same, in the order in which they run. */
export function startOrder({ spec }: Pod): string[] {
	return [...(spec.initContainers ?? []), ...spec.containers, ...(spec.ephemeralContainers ?? [])].map(
		({ name }) => name,
	);
}

/** Says which were chosen, where the user did not; on standard error, which is not the output. */
export function sayChoice({ pod, among }: Found, word: string, { container, outOf }: Chosen): void {
	const lines = [
		...(among > 1 ? [`Found ${among} pods of ${word}, using pod/${pod.metadata.name}`] : []),
		...(outOf ? [`Defaulted container ${JSON.stringify(container)} out of: ${outOf.join(', ')}`] : []),
	];
	for (const line of lines) process.stderr.write(`${line}\n`);
}
