/**
 * What the agent of a node may write of what it is allowed to write at all: its own node, its lease, and the status of its own
 * pods. Of pods it makes only mirrors of its own static ones, which refer to nothing: one that named a Secret would let it read any.
 * Source: Kubernetes documentation, "Admission Control in Kubernetes", NodeRestriction.
 */

import type { PodSpec } from 'kubernetes-types/core/v1.js';
import { LOCAL_FINALIZER, SIZE_LIMIT, VOLUME_NODE } from '../../kinds/core/local-volume.ts';
import { apiReference, MIRROR_ANNOTATION } from '../../kinds/core/mirror-pod.ts';
import { isReservedNodeLabel } from '../../kinds/core/node-labels.ts';
import { deepEqual } from '../../kinds/equal.ts';
import type { Kind } from '../../kinds/kind.ts';
import type { Dynamic, KubeObject } from '../../kinds/object.ts';
import { forbidden } from '../../kinds/status.ts';
import { nodeOf } from '../auth/user.ts';
import { isObject } from '../json.ts';
import type { AdmissionPlugin, AdmissionRequest } from './admission.ts';

export const nodeRestriction: AdmissionPlugin = {
	name: 'NodeRestriction',
	handles: ({ caller, kind }) => checks.has(resourceOf(kind)) && nodeOf(caller) !== undefined,
	validate(request) {
		const { kind, name, caller } = request;
		const why = checks.get(resourceOf(kind))?.(nodeOf(caller) ?? '', request);
		if (why) throw forbidden(kind, name, why);
	},
};

/** By resource: why a node may not write it so; undefined where it may. */
const checks: ReadonlyMap<string, (node: string, request: AdmissionRequest) => string | undefined> = new Map([
	['nodes', wrongOfNode],
	['pods', wrongOfPod],
	['persistentvolumes', wrongOfVolume],
	['leases.coordination.k8s.io', wrongOfLease],
	[
		'csinodes.storage.k8s.io',
		(node, { name }) =>
			name === node ? undefined : `node "${node}" can only access CSINode with the same name as itself`,
	],
]);
const resourceOf = ({ group, plural }: Kind) => (group ? `${plural}.${group}` : plural);

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
	// One that is not there would have its Node collected, which it then makes anew without the taints that it had.
	if (old && !deepEqual(object?.metadata.ownerReferences ?? [], old.metadata.ownerReferences ?? []))
		return `node "${node}" is not allowed to modify ownerReferences`;
	const [labels, were] = [object?.metadata.labels ?? {}, old?.metadata.labels ?? {}];
	const wrong = Object.keys({ ...were, ...labels }).filter(
		(key) => isReservedNodeLabel(key) && labels[key] !== were[key],
	);
	if (wrong.length === 0) return undefined;
	return `node "${node}" is not allowed to ${old ? 'modify labels' : 'set the following labels'}: ${wrong.join(', ')}`;
}

function wrongOfPod(node: string, { operation, subresource, name, object, old }: AdmissionRequest): string | undefined {
	// An eviction has the delete to answer for.
	if (!old) return operation === 'CREATE' && subresource === undefined ? wrongOfMirror(node, object) : undefined;
	if (specOf(old).nodeName !== node)
		return `node "${node}" can only ${operation === 'DELETE' ? 'delete pods' : `update status of pod "${name}"`} with spec.nodeName set to itself`;
	// With other labels it would draw the clients of any service to itself.
	if (object && !deepEqual(object.metadata.labels ?? {}, old.metadata.labels ?? {}))
		return `node "${node}" cannot update labels through pod status`;
	return undefined;
}

/** Of a directory of its own it says what it is held to, and that it is gone: nothing else of a volume is a node's to say. */
function wrongOfVolume(node: string, { name, object, old }: AdmissionRequest): string | undefined {
	if (!object || !old || old.metadata.annotations?.[VOLUME_NODE] !== node)
		return `node "${node}" can only modify persistentvolumes that are its directories`;
	const kept = ({ metadata }: KubeObject) => {
		const { [SIZE_LIMIT]: _limit, ...annotations } = metadata.annotations ?? {};
		const finalizers = (metadata.finalizers ?? []).filter((each) => each !== LOCAL_FINALIZER);
		return { annotations, finalizers, labels: metadata.labels ?? {}, owners: metadata.ownerReferences ?? [] };
	};
	if (deepEqual(kept(object), kept(old)) && deepEqual(specOf(object), specOf(old))) return undefined;
	return `node "${node}" may only say of persistentvolume "${name}" what its directory is held to, and that it is gone`;
}

/** What stands for a static pod of the node's. The service account that every pod is given is no reference: it gives a mirror nothing. */
function wrongOfMirror(node: string, object: KubeObject | undefined): string | undefined {
	const spec = specOf(object);
	const { annotations, ownerReferences = [] } = object?.metadata ?? {};
	if (annotations?.[MIRROR_ANNOTATION] === undefined)
		return `pod does not have "${MIRROR_ANNOTATION}" annotation, node "${node}" can only create mirror pods`;
	if (spec.nodeName !== node) return `node "${node}" can only create pods with spec.nodeName set to itself`;
	const [owner, another] = ownerReferences;
	if (!owner || another || owner.kind !== 'Node' || owner.name !== node)
		return `node "${node}" can only create pods with an owner reference set to itself`;
	// Its shape has been checked; what it names has not.
	const reference = apiReference({ ...(spec as unknown as PodSpec), serviceAccountName: undefined });
	return reference && `node "${node}" can not create pods that reference a ${reference}`;
}

function wrongOfLease(node: string, { name }: AdmissionRequest): string | undefined {
	return name === node ? undefined : `node "${node}" can only access its own lease`;
}
