import type * as core from 'kubernetes-types/core/v1.js';
import { kind } from '../declare.ts';
import type { Kind } from '../kind.ts';
import type { Persisted } from '../object.ts';
import { podColumns } from './pod-columns.ts';
import { defaultPod } from './pod-defaults.ts';
import { ephemeralContainers } from './pod-ephemeral.ts';
import { podHealth } from './pod-health.ts';
import { podMerges } from './pod-merges.ts';
import { qosClass } from './pod-qos.ts';
import { resize } from './pod-resize.ts';
import { validatePod } from './pod-validation.ts';
import { podWarnings } from './pod-warnings.ts';

export type Pod = Persisted<core.Pod>;

/** Grace of a delete where neither the pod nor the client says one, in seconds. */
const GRACE_SECONDS = 30;

/** What a pod says that nobody may schedule yet. Source: Kubernetes documentation, "Pod Scheduling Readiness". */
const GATED = {
	type: 'PodScheduled',
	status: 'False',
	reason: 'SchedulingGated',
	message: 'Scheduling is blocked due to non-empty scheduling gates',
};

export const Pod: Kind<Pod> = kind<Pod>({
	group: '',
	version: 'v1',
	kind: 'Pod',
	plural: 'pods',
	schema: 'io.k8s.api.core.v1.Pod',
	merges: podMerges,
	shortNames: ['po'],
	categories: ['all'],
	subresources: {
		status: true,
		parts: { ephemeralcontainers: ephemeralContainers, resize },
		actions: ['log', 'exec', 'attach', 'portforward', 'binding', 'eviction'],
	},
	generation: true,
	returnsDeleted: true,
	selectableFields: {
		'spec.nodeName': (pod) => pod.spec.nodeName ?? '',
		'spec.restartPolicy': (pod) => pod.spec.restartPolicy ?? '',
		'spec.schedulerName': (pod) => pod.spec.schedulerName ?? '',
		'spec.serviceAccountName': (pod) => pod.spec.serviceAccountName ?? '',
		'spec.hostNetwork': (pod) => String(pod.spec.hostNetwork ?? false),
		'status.phase': (pod) => pod.status?.phase ?? '',
		'status.podIP': (pod) => pod.status?.podIPs?.[0]?.ip ?? pod.status?.podIP ?? '',
		'status.nominatedNodeName': (pod) => pod.status?.nominatedNodeName ?? '',
	},
	columns: podColumns,
	defaults(pod) {
		// An object without spec is refused by validation; that must not be hindered here.
		if (pod.spec) defaultPod(pod.spec);
	},
	prepare(pod, old) {
		if (old || !pod.spec) return;
		const conditions = pod.spec.schedulingGates?.length ? [GATED] : undefined;
		Object.assign(pod, {
			status: { phase: 'Pending', qosClass: qosClass(pod.spec), ...(conditions && { conditions }) },
		});
	},
	validate: validatePod,
	warnings: (pod) => podWarnings(pod),
	health: podHealth,
	gracePeriod(pod, wanted = pod.spec.terminationGracePeriodSeconds ?? GRACE_SECONDS) {
		// A pod that no node has taken, and one that has ended, has nothing to shut down.
		if (!pod.spec.nodeName || pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed') return 0;
		// As the pod strategy has it: a negative period means one second.
		return wanted < 0 ? 1 : wanted;
	},
	prepareStatus(pod, old) {
		pod.metadata.ownerReferences = old.metadata.ownerReferences;
	},
});
