/**
 * What the agent of a node may write of what it is allowed to write at all: its own node, and the status of its own pods.
 * Source: Kubernetes documentation, "Admission Control in Kubernetes", NodeRestriction.
 */
import { deepEqual } from '../../kinds/equal.ts';
import type { Dynamic, KubeObject } from '../../kinds/object.ts';
import { forbidden } from '../../kinds/status.ts';
import { nodeOf } from '../auth/user.ts';
import { isObject } from '../json.ts';
import type { AdmissionPlugin, AdmissionRequest } from './admission.ts';

/** Labels that only an administrator may give to a node, so that a node cannot draw pods to itself. */
const restricted = 'node-restriction.kubernetes.io/';
const mirror = 'kubernetes.io/config.mirror';

export const nodeRestriction: AdmissionPlugin = {
	name: 'NodeRestriction',
	handles: ({ caller, kind }) =>
		kind.group === '' && /^(nodes|pods)$/.test(kind.plural) && nodeOf(caller) !== undefined,
	validate(request) {
		const { kind, name, caller } = request;
		const node = nodeOf(caller) ?? '';
		const why = kind.plural === 'nodes' ? wrongOfNode(node, request) : wrongOfPod(node, request);
		if (why) throw forbidden(kind, name, why);
	},
};

const specOf = (object: KubeObject | undefined): Record<string, unknown> => {
	const spec = (object as Dynamic | undefined)?.spec;
	return isObject(spec) ? spec : {};
};

function wrongOfNode(node: string, { operation, name, object, old }: AdmissionRequest): string | undefined {
	if (name !== node) return `node "${node}" is not allowed to modify node "${name}"`;
	if (operation === 'DELETE') return `node "${node}" is not allowed to delete itself`;
	const now = specOf(object);
	const before = specOf(old);
	for (const field of ['podCIDR', 'podCIDRs', 'providerID', ...(old ? ['taints'] : [])])
		if (!deepEqual(now[field], before[field])) return `node "${node}" is not allowed to modify spec.${field}`;
	const labels = (of: KubeObject | undefined) =>
		Object.fromEntries(
			Object.entries(of?.metadata.labels ?? {}).filter(([key]) => key.split('/')[0]?.endsWith(restricted.slice(0, -1))),
		);
	if (!deepEqual(labels(object), labels(old))) return `node "${node}" is not allowed to modify labels of ${restricted}`;
	return undefined;
}

function wrongOfPod(node: string, { operation, subresource, name, object, old }: AdmissionRequest): string | undefined {
	if (operation === 'CREATE' && !subresource) {
		if (object?.metadata.annotations?.[mirror] === undefined)
			return `pod does not have "${mirror}" annotation, node "${node}" can only create mirror pods`;
		return specOf(object).nodeName === node
			? undefined
			: `node "${node}" can only create pods with spec.nodeName set to itself`;
	}
	// An eviction has the delete to answer for.
	if (!old) return undefined;
	if (specOf(old).nodeName === node) return undefined;
	return `node "${node}" can only ${operation === 'DELETE' ? 'delete pods' : `update status of pod "${name}"`} with spec.nodeName set to itself`;
}
