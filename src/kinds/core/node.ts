import type * as core from 'kubernetes-types/core/v1.js';
import { checkOneOf, checkQuantities, checkUnique } from '../checks.ts';
import { age, column, kind, wide } from '../declare.ts';
import { deepEqual } from '../equal.ts';
import { formatRange, parseRange } from '../ipv4.ts';
import type { Kind } from '../kind.ts';
import { atomic, conditions, merge, patch, set } from '../merges.ts';
import { cidr, labelValue, qualifiedName } from '../names.ts';
import type { Persisted } from '../object.ts';
import { type FieldError, fieldError } from '../status.ts';
import { canonicalize } from './container-defaults.ts';
import { checkAmount } from './resource-validation.ts';
import { taintEffects } from './scheduling-validation.ts';

/** A node whose engine is simulated has it where real pods are to run elsewhere: nothing runs there, and no port of it leads anywhere. */
export const SIMULATED_TAINT = { key: 'driftless.io/simulated', effect: 'NoSchedule' } as const;

export type Node = Persisted<core.Node>;

const ROLE_PREFIX = 'node-role.kubernetes.io/';

/** Source: Kubernetes API reference, "Node". */
export const Node: Kind<Node> = kind<Node>({
	group: '',
	version: 'v1',
	kind: 'Node',
	plural: 'nodes',
	schema: 'io.k8s.api.core.v1.Node',
	merges: {
		'io.k8s.api.core.v1.ContainerImage': { names: atomic },
		'io.k8s.api.core.v1.NodeSpec': { podCIDRs: { ...set, ...patch('merge') }, taints: atomic },
		'io.k8s.api.core.v1.NodeStatus': {
			addresses: merge('type'),
			...conditions,
			declaredFeatures: atomic,
			images: atomic,
			runtimeHandlers: atomic,
			volumesAttached: atomic,
			volumesInUse: atomic,
		},
	},
	shortNames: ['no'],
	namespaced: false,
	subresources: { status: true },
	// A node registers itself together with its capacity and addresses.
	statusOnCreate: true,
	selectableFields: { 'spec.unschedulable': (node) => String(node.spec?.unschedulable ?? false) },
	columns: [
		column('Status', 'string', 'Whether the node takes and runs pods.', status),
		column('Roles', 'string', 'What the node is for.', roles),
		age,
		column('Version', 'string', 'Version of the node agent.', (node) => node.status?.nodeInfo?.kubeletVersion ?? ''),
		wide('Internal-IP', 'string', 'Address within the cluster.', (node) => address(node, 'InternalIP')),
		wide('External-IP', 'string', 'Address from outside.', (node) => address(node, 'ExternalIP')),
		wide('OS-Image', 'string', 'Operating system.', (node) => node.status?.nodeInfo?.osImage || '<unknown>'),
		wide('Kernel-Version', 'string', 'Kernel.', (node) => node.status?.nodeInfo?.kernelVersion || '<unknown>'),
		wide(
			'Container-Runtime',
			'string',
			'Container engine.',
			(node) => node.status?.nodeInfo?.containerRuntimeVersion || '<unknown>',
		),
	],
	defaults(node) {
		node.spec ??= {};
		// As the conversion to the internal version of Kubernetes: each of the two fields says what the other says.
		const { podCIDR, podCIDRs } = node.spec;
		if (podCIDR && !podCIDRs?.length) node.spec.podCIDRs = [podCIDR];
		else if (!podCIDR && podCIDRs?.[0]) node.spec.podCIDR = podCIDRs[0];
		canonicalize(node.status?.capacity);
		canonicalize(node.status?.allocatable);
	},
	prepare(node, old) {
		if (!old) return;
		const { podCIDR, podCIDRs, providerID } = old.spec ?? {};
		node.spec.podCIDR ||= podCIDR;
		if (!node.spec.podCIDRs?.length && podCIDRs) node.spec.podCIDRs = [...podCIDRs];
		node.spec.providerID ||= providerID;
		for (const field of ['podCIDR', 'providerID'] as const) if (!node.spec[field]) delete node.spec[field];
	},
	// As its first address, however it is written: 10.1.0.5/24 is 10.1.0.0/24.
	claims: ({ spec }) => [...new Set((spec?.podCIDRs ?? []).map((cidr) => `pods/${canonicalRange(cidr)}`))],
	validate(node, old) {
		const errors: FieldError[] = [];
		validateTaints(node, errors);
		const { podCIDR, podCIDRs = [], providerID } = node.spec ?? {};
		const seen = new Set<string>();
		for (const [index, range] of podCIDRs.entries()) {
			const field = `spec.podCIDRs[${index}]`;
			for (const wrong of cidr(range)) errors.push(fieldError.invalid(field, range, wrong));
			checkUnique(canonicalRange(range), field, seen, errors);
		}
		if (podCIDR && podCIDRs.length > 0 && podCIDRs[0] !== podCIDR)
			errors.push(fieldError.invalid('spec.podCIDRs', podCIDRs, 'first value must match `podCIDR`'));
		checkQuantities(node.status?.allocatable, 'status.allocatable', errors);
		for (const [name, amount] of Object.entries(node.status?.capacity ?? {})) {
			for (const wrong of qualifiedName(name)) errors.push(fieldError.invalid('status.capacity', name, wrong));
			checkAmount(name, amount, `status.capacity[${name}]`, errors);
		}
		if (old?.spec?.podCIDRs?.length && !deepEqual(podCIDRs, old.spec.podCIDRs))
			errors.push(fieldError.forbidden('spec.podCIDRs', 'node updates may not change podCIDR except from "" to valid'));
		if (old?.spec?.providerID && providerID !== old.spec.providerID)
			errors.push(
				fieldError.forbidden('spec.providerID', 'node updates may not change providerID except from "" to valid'),
			);
		return errors;
	},
});

function canonicalRange(cidr: string): string {
	const range = parseRange(cidr);
	return range ? formatRange(range) : cidr;
}

function status(node: Node): string {
	const ready = node.status?.conditions?.find((condition) => condition.type === 'Ready');
	const words = [ready ? (ready.status === 'True' ? 'Ready' : 'NotReady') : 'Unknown'];
	if (node.spec?.unschedulable) words.push('SchedulingDisabled');
	return words.join(',');
}

function roles(node: Node): string {
	const found = new Set<string>();
	for (const [key, value] of Object.entries(node.metadata.labels ?? {})) {
		if (key.startsWith(ROLE_PREFIX)) {
			if (key.length > ROLE_PREFIX.length) found.add(key.slice(ROLE_PREFIX.length));
		} else if (key === 'kubernetes.io/role' && value) found.add(value);
	}
	return [...found].sort().join(',') || '<none>';
}

function address(node: Node, type: string): string {
	return node.status?.addresses?.find((each) => each.type === type)?.address ?? '<none>';
}

function validateTaints(node: Node, errors: FieldError[]): void {
	const seen = new Set<string>();
	for (const [index, taint] of (node.spec?.taints ?? []).entries()) {
		const at = `spec.taints[${index}]`;
		for (const wrong of qualifiedName(taint.key ?? ''))
			errors.push(fieldError.invalid(`${at}.key`, taint.key ?? '', wrong));
		for (const wrong of labelValue(taint.value ?? ''))
			errors.push(fieldError.invalid(`${at}.value`, taint.value, wrong));
		if (!taint.effect) errors.push(fieldError.required(`${at}.effect`));
		checkOneOf(taint.effect, `${at}.effect`, taintEffects, errors);
		const pair = `${taint.key}:${taint.effect}`;
		if (seen.has(pair)) errors.push(fieldError.duplicate(`${at}.taint`, taint));
		seen.add(pair);
	}
}
