/** The admission plugins that every server has, named as Kubernetes names them. */
import type { ServiceAccount } from '../../kinds/core/service-account.ts';
import type { KubeObject } from '../../kinds/object.ts';
import { forbidden } from '../../kinds/status.ts';
import { isObject } from '../json.ts';
import type { AdmissionPlugin, AdmissionRequest } from './admission.ts';
import { nodeRestriction } from './node-restriction.ts';

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

/** Pods that name no service account run as `default`, and get its pull secrets where they name none. */
const serviceAccount: AdmissionPlugin = {
	name: 'ServiceAccount',
	handles: createsPod,
	async mutate(request) {
		const spec = specOf(request);
		if (!spec) return 'nothing';
		const name = spec.serviceAccountName || spec.serviceAccount || 'default';
		spec.serviceAccountName = name;
		spec.serviceAccount = name;
		if (typeof name !== 'string' || (Array.isArray(spec.imagePullSecrets) && spec.imagePullSecrets.length > 0))
			return 'filled';
		const accounts = { group: '', version: 'v1', plural: 'serviceaccounts' };
		// One that is not there yet adds nothing: an apply may create it after its pods.
		const found = await request.lookUp(accounts, { namespace: request.namespace, name });
		const secrets = (found as (KubeObject & Partial<ServiceAccount>) | undefined)?.imagePullSecrets;
		if (secrets?.length) spec.imagePullSecrets = structuredClone(secrets);
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

/** A pod that asks for another runtime than there is must not run on this one. Source: Kubernetes documentation, "Runtime Class". */
const runtimeClass: AdmissionPlugin = {
	name: 'RuntimeClass',
	handles: createsPod,
	async validate(request) {
		const name = specOf(request)?.runtimeClassName;
		if (typeof name !== 'string' || name === '') return;
		if (await request.lookUp({ group: 'node.k8s.io', version: 'v1', plural: 'runtimeclasses' }, { name })) return;
		throw forbidden(request.kind, request.name, `pod rejected: RuntimeClass "${name}" not found`);
	},
};

export const builtinAdmission: readonly AdmissionPlugin[] = [
	namespaceLifecycle,
	nodeRestriction,
	serviceAccount,
	defaultTolerationSeconds,
	runtimeClass,
];
