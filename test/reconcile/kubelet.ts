/** Stands in for the agents of nodes, which have tests of their own: pods that have a node run and become ready, deleted ones go. */
import type { ExecutionContext } from 'ava';
import { Pod } from '../../src/kinds/index.ts';
import { type Controller, controller } from '../../src/reconcile/index.ts';

export interface Kubelet {
	readonly controller: Controller;
	/** Whether a pod that runs is ready; change it, then touch the pod. Default: all are. */
	ready: (pod: Pod) => boolean;
	/** Whether a pod that is being deleted ends now. Default: all do. */
	ends: (pod: Pod) => boolean;
}

/** `anywhere`: pods run without a node as well, where no scheduler is. */
export function kubelet({ anywhere = false } = {}): Kubelet {
	let addresses = 1;
	const self: Kubelet = {
		ready: () => true,
		ends: () => true,
		controller: controller<Pod>({
			name: 'kubelet',
			for: Pod,
			async reconcile(key, { cache, client, now }) {
				const pod = cache.informer(Pod).get(key);
				if (!pod || !(pod.spec.nodeName || anywhere)) return undefined;
				if (pod.metadata.deletionTimestamp) {
					if (self.ends(pod)) await client.delete(Pod, pod.metadata, { gracePeriodSeconds: 0 });
					return undefined;
				}
				// What has ended stays as it ended.
				if (pod.status?.phase === 'Failed' || pod.status?.phase === 'Succeeded') return undefined;
				const ready = self.ready(pod) ? 'True' : 'False';
				const condition = pod.status?.conditions?.find(({ type }) => type === 'Ready');
				if (pod.status?.phase === 'Running' && condition?.status === ready) return undefined;
				const podIP = pod.status?.podIP ?? `10.244.${addresses >> 8}.${addresses++ & 255}`;
				const time = new Date(now()).toISOString().replace(/\.\d+Z/, 'Z');
				const others = pod.status?.conditions?.filter(({ type }) => type !== 'Ready') ?? [];
				const status = {
					...pod.status,
					phase: 'Running',
					startTime: pod.status?.startTime ?? time,
					podIP,
					podIPs: [{ ip: podIP }],
					conditions: [...others, { type: 'Ready', status: ready, lastTransitionTime: time }],
				};
				await client.update(Pod, { ...pod, status }, { subresource: 'status' });
				return undefined;
			},
		}),
	};
	return self;
}

/** Objects without what makes them long to print. */
export const sortedNames = (objects: Iterable<{ metadata: { name: string } }>) =>
	Array.from(objects, ({ metadata }) => metadata.name).sort();

export type Test = ExecutionContext;
