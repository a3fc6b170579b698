/** The admission plugins that every server has, named as Kubernetes names them. */
import type { ServiceAccount } from '../../kinds/core/service-account.ts';
import type { KubeObject } from '../../kinds/object.ts';
import { forbidden } from '../../kinds/status.ts';
import { isObject } from '../json.ts';
import type { AdmissionPlugin, AdmissionRequest } from './admission.ts';
import { certificateRequests } from './certificate-requests.ts';
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

/** The classes that every cluster has, and how urgent their pods are. Source: Kubernetes documentation, "Guaranteed Scheduling For Critical Add-On Pods". */
const SYSTEM_PRIORITIES: ReadonlyMap<string, number> = new Map([
	['system-cluster-critical', 2_000_000_000],
	['system-node-critical', 2_000_001_000],
]);

/** Of a pod without a class. */
const NO_PRIORITY = 0;

/** A pod is as urgent as its class says, and a class that is not there is refused. Source: Kubernetes documentation, "Pod Priority and Preemption". */
const priority: AdmissionPlugin = {
	name: 'Priority',
	handles: createsPod,
	async mutate(request) {
		const spec = specOf(request);
		const name = spec?.priorityClassName;
		if (!spec) return 'nothing';
		const named = typeof name === 'string' && name !== '';
		// Nobody gives himself what only a class gives.
		const value = named ? (SYSTEM_PRIORITIES.get(name) ?? (await valueOfClass(name, request))) : NO_PRIORITY;
		if (value === undefined)
			throw forbidden(request.kind, request.name, `no PriorityClass with name ${name} was found`);
		if (typeof spec.priority === 'number' && spec.priority !== value)
			throw forbidden(
				request.kind,
				request.name,
				`the integer value of priority (${spec.priority}) must not be provided in pod spec; priority admission controller computed ${value} from the given PriorityClass name`,
			);
		if (!named) return 'nothing';
		spec.priority = value;
		return 'filled';
	},
};

async function valueOfClass(name: string, { lookUp }: AdmissionRequest): Promise<number | undefined> {
	const found = await lookUp({ group: 'scheduling.k8s.io', version: 'v1', plural: 'priorityclasses' }, { name });
	return found && 'value' in found && typeof found.value === 'number' ? found.value : undefined;
}

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
	priority,
	defaultTolerationSeconds,
	runtimeClass,
	certificateRequests,
];
