/**
 * Admission: an ordered list of functions that see every create and update after decoding and defaulting, before
 * validation. One may change the object (it is the request's own copy) or refuse it by throwing an ApiError.
 */

import type { ServiceAccount } from '../../kinds/core/service-account.ts';
import type { Kind } from '../../kinds/kind.ts';
import type { Dynamic, KubeObject } from '../../kinds/object.ts';
import { forbidden } from '../../kinds/status.ts';
import type { Caller } from '../api.ts';
import { isObject } from '../json.ts';

export interface AdmissionRequest {
	readonly operation: 'CREATE' | 'UPDATE';
	readonly kind: Kind;
	readonly subresource?: string;
	readonly object: Dynamic;
	/** The stored object on an update. */
	readonly old?: KubeObject;
	readonly caller: Caller;
	readonly dryRun: boolean;
	/** The stored object of another kind, as this server knows it. */
	lookUp(
		resource: { readonly group: string; readonly version: string; readonly plural: string },
		name: { readonly namespace?: string; readonly name: string },
	): Promise<KubeObject | undefined>;
}

export type Admission = (request: AdmissionRequest) => void | Promise<void>;

/** Pods that name no service account run as `default`, as Kubernetes' ServiceAccount admission says. */
export const defaultServiceAccount: Admission = ({ operation, kind, subresource, object }) => {
	if (operation !== 'CREATE' || subresource || kind.group !== '' || kind.plural !== 'pods') return;
	const { spec } = object;
	if (!isObject(spec)) return;
	const name = spec.serviceAccountName || spec.serviceAccount || 'default';
	spec.serviceAccountName = name;
	spec.serviceAccount = name;
};

/** How long a pod that says nothing of it stays on a node that is not ready. */
export const DEFAULT_TOLERATION_SECONDS = 300;
const NODE_TAINTS = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'];

/** Pods stay on a node that is not ready for a while, unless they say otherwise, as Kubernetes' DefaultTolerationSeconds admission says. */
export const defaultTolerations: Admission = ({ kind, subresource, object }) => {
	if (subresource || kind.group !== '' || kind.plural !== 'pods') return;
	const { spec } = object;
	if (!isObject(spec)) return;
	const tolerations: readonly unknown[] = Array.isArray(spec.tolerations) ? spec.tolerations : [];
	const missing = NODE_TAINTS.filter(
		(taint) =>
			!tolerations.some(
				(each) => isObject(each) && (!each.key || each.key === taint) && (!each.effect || each.effect === 'NoExecute'),
			),
	);
	if (missing.length === 0) return;
	const bearable = { operator: 'Exists', effect: 'NoExecute', tolerationSeconds: DEFAULT_TOLERATION_SECONDS };
	spec.tolerations = [...tolerations, ...missing.map((key) => ({ key, ...bearable }))];
};

/** A pod that names no pull secrets gets those of its service account. Source: Kubernetes documentation, "Service Accounts". */
export const accountPullSecrets: Admission = async ({ operation, kind, subresource, object, lookUp }) => {
	if (operation !== 'CREATE' || subresource || kind.group !== '' || kind.plural !== 'pods') return;
	const { spec, metadata } = object;
	if (!isObject(spec) || (Array.isArray(spec.imagePullSecrets) && spec.imagePullSecrets.length > 0)) return;
	const name = typeof spec.serviceAccountName === 'string' ? spec.serviceAccountName : '';
	const accounts = { group: '', version: 'v1', plural: 'serviceaccounts' };
	// One that is not there yet adds nothing: an apply may create it after its pods.
	const account = (await lookUp(accounts, { namespace: metadata.namespace, name })) as ServiceAccount | undefined;
	if (account?.imagePullSecrets?.length) spec.imagePullSecrets = structuredClone(account.imagePullSecrets);
};

/** A namespace is found by its name through a label, and waits with its removal until its content is gone. */
export const namespaceIdentity: Admission = ({ operation, kind, object }) => {
	if (kind.group !== '' || kind.plural !== 'namespaces') return;
	object.metadata.labels = { ...object.metadata.labels, 'kubernetes.io/metadata.name': object.metadata.name };
	if (operation !== 'CREATE') return;
	const spec = isObject(object.spec) ? object.spec : {};
	const finalizers: readonly unknown[] = Array.isArray(spec.finalizers) ? spec.finalizers : [];
	object.spec = { ...spec, finalizers: finalizers.includes('kubernetes') ? finalizers : [...finalizers, 'kubernetes'] };
	object.status = { phase: 'Active' };
};

/** A pod that asks for another runtime than there is must not run on this one. Source: Kubernetes documentation, "Runtime Class". */
export const knownRuntime: Admission = async ({ operation, kind, subresource, object, lookUp }) => {
	if (operation !== 'CREATE' || subresource || kind.group !== '' || kind.plural !== 'pods') return;
	const name = isObject(object.spec) ? object.spec.runtimeClassName : undefined;
	if (typeof name !== 'string' || name === '') return;
	if (await lookUp({ group: 'node.k8s.io', version: 'v1', plural: 'runtimeclasses' }, { name })) return;
	throw forbidden(kind, object.metadata.name, `pod rejected: RuntimeClass "${name}" not found`);
};

export const builtinAdmission: readonly Admission[] = [
	namespaceIdentity,
	defaultServiceAccount,
	defaultTolerations,
	accountPullSecrets,
	knownRuntime,
];
