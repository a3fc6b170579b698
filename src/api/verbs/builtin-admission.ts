/** The admission plugins that every server has, named as Kubernetes names them. */
import type { ServiceAccount } from '../../kinds/core/service-account.ts';
import type { KubeObject } from '../../kinds/object.ts';
import { forbidden } from '../../kinds/status.ts';
import { isObject } from '../json.ts';
import type { AdmissionPlugin, AdmissionRequest } from './admission.ts';
import { certificateRequests } from './certificate-requests.ts';
import { limitRanger } from './limit-ranger.ts';
import { nodeRestriction } from './node-restriction.ts';
import { priority } from './priority.ts';
import { resourceQuota } from './quotas.ts';
import { runtimeClass } from './runtime-class.ts';
import { storageAdmission } from './storage-admission.ts';

const is = ({ kind, subresource }: AdmissionRequest, plural: string) =>
	subresource === undefined && kind.group === '' && kind.plural === plural;
const createsPod = (request: AdmissionRequest) => request.operation === 'CREATE' && is(request, 'pods');

/** The spec of the object that is written. */
function specOf({ object }: AdmissionRequest): Record<string, unknown> | undefined {
	const spec = object?.spec;
	return isObject(spec) ? spec : undefined;
}

/** Namespaces that a cluster cannot do without. */
const immortal: ReadonlySet<string> = new Set(['default', 'kube-system', 'kube-public']);

/** Some namespaces stay. What may be created in one, the commit itself sees to: see namespaces.ts. */
const namespaceLifecycle: AdmissionPlugin = {
	name: 'NamespaceLifecycle',
	handles: (request) => request.operation === 'DELETE' && is(request, 'namespaces'),
	validate({ kind, name }) {
		if (immortal.has(name)) throw forbidden(kind, name, 'this namespace may not be deleted');
	},
};

const accounts = { group: '', version: 'v1', plural: 'serviceaccounts' };
/** The service account of pods that name none. */
const DEFAULT_ACCOUNT = 'default';
/** Of what an agent runs by itself, and only shows to the API. */
const MIRROR = 'kubernetes.io/config.mirror';

/**
 * Pods that name no service account run as `default`, and get the pull secrets of theirs where they name none. One that is not there
 * is refused, but for `default`: a controller makes that in every namespace, and it gives a new one nothing. Kubernetes waits for
 * it, for a second or two. Source: Kubernetes documentation, "Configure Service Accounts for Pods", and "Managing Service Accounts".
 */
const serviceAccount: AdmissionPlugin = {
	name: 'ServiceAccount',
	handles: createsPod,
	async mutate(request) {
		const spec = specOf(request);
		if (!spec) return 'nothing';
		const name = spec.serviceAccountName || spec.serviceAccount || DEFAULT_ACCOUNT;
		spec.serviceAccountName = name;
		spec.serviceAccount = name;
		const { namespace, object } = request;
		if (typeof name !== 'string' || object?.metadata.annotations?.[MIRROR] !== undefined) return 'filled';
		const found = await request.lookUp(accounts, { namespace, name });
		if (!found && name !== DEFAULT_ACCOUNT)
			throw forbidden(
				request.kind,
				request.name,
				`error looking up service account ${namespace}/${name}: serviceaccount "${name}" not found`,
			);
		const secrets = (found as (KubeObject & Partial<ServiceAccount>) | undefined)?.imagePullSecrets;
		const own = Array.isArray(spec.imagePullSecrets) && spec.imagePullSecrets.length > 0;
		if (secrets?.length && !own) spec.imagePullSecrets = structuredClone(secrets);
		return 'filled';
	},
};

/** How long a pod that says nothing of it stays on a node that is not ready. */
const DEFAULT_TOLERATION_SECONDS = 300;
const NODE_TAINTS = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'];

/** The taints of nodes in trouble of which a pod says nothing. */
function untolerated(request: AdmissionRequest): readonly string[] {
	const spec = specOf(request);
	if (!spec) return [];
	const tolerations: readonly unknown[] = Array.isArray(spec.tolerations) ? spec.tolerations : [];
	return NODE_TAINTS.filter(
		(taint) =>
			!tolerations.some(
				(each) => isObject(each) && (!each.key || each.key === taint) && (!each.effect || each.effect === 'NoExecute'),
			),
	);
}

const defaultTolerationSeconds: AdmissionPlugin = {
	name: 'DefaultTolerationSeconds',
	handles: (request) =>
		(request.operation === 'CREATE' || request.operation === 'UPDATE') &&
		is(request, 'pods') &&
		untolerated(request).length > 0,
	mutate(request) {
		const spec = specOf(request);
		if (!spec) return 'nothing';
		const tolerations: readonly unknown[] = Array.isArray(spec.tolerations) ? spec.tolerations : [];
		const bearable = { operator: 'Exists', effect: 'NoExecute', tolerationSeconds: DEFAULT_TOLERATION_SECONDS };
		spec.tolerations = [...tolerations, ...untolerated(request).map((key) => ({ key, ...bearable }))];
		return 'filled';
	},
};

export const builtinAdmission: readonly AdmissionPlugin[] = [
	namespaceLifecycle,
	limitRanger,
	nodeRestriction,
	serviceAccount,
	priority,
	defaultTolerationSeconds,
	runtimeClass,
	...storageAdmission,
	certificateRequests,
	resourceQuota,
];
