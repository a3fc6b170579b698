/**
 * Stands in for nodes whose pods do their work and end: each pod runs, and ends as it is told. One that is deleted ends as
 * Failed, as an agent tells it, before it goes.
 */
import type { ContainerStatus } from 'kubernetes-types/core/v1.js';
import { Pod, timestamp } from '../../src/kinds/index.ts';
import { type Controller, controller } from '../../src/reconcile/index.ts';
import { isFinished } from '../../src/reconcile/workloads/pod-state.ts';

export interface Workers {
	readonly controller: Controller;
	/** The exit code with which a pod that runs ends now; undefined while it works. Change it, then touch the pod. Default: 0. */
	exit: (pod: Pod) => number | undefined;
	/** Whether a pod that is being deleted ends now. Default: all do. */
	ends: (pod: Pod) => boolean;
	/** The uids of all pods that have ever ended by themselves. */
	readonly ended: Map<string, number>;
}

export function workers(): Workers {
	const self: Workers = {
		exit: () => 0,
		ends: () => true,
		ended: new Map(),
		controller: controller<Pod>({
			name: 'workers',
			for: Pod,
			workers: 16,
			async reconcile(key, { cache, client, now }) {
				const pod = cache.informer(Pod).get(key);
				if (!pod) return undefined;
				const { metadata, spec, status } = pod;
				const tell = (phase: string, code?: number) => {
					const state =
						code === undefined
							? { running: { startedAt: timestamp(now()) } }
							: { terminated: { exitCode: code, finishedAt: timestamp(now()) } };
					const containers = spec.containers.map(
						({ name }): ContainerStatus => ({
							name,
							image: '',
							imageID: '',
							ready: code === undefined,
							restartCount: 0,
							state,
						}),
					);
					const ready = { type: 'Ready', status: code === undefined ? 'True' : 'False' };
					const others = status?.conditions?.filter(({ type }) => type !== 'Ready') ?? [];
					const conditions = [...others, { ...ready, lastTransitionTime: timestamp(now()) }];
					const next = { ...status, phase, conditions, containerStatuses: containers };
					return client.update(Pod, { ...pod, status: next }, { subresource: 'status' });
				};
				if (metadata.deletionTimestamp) {
					if (!self.ends(pod)) return undefined;
					if (!isFinished(pod)) await tell('Failed', 137);
					await client.delete(Pod, metadata, { gracePeriodSeconds: 0 });
					return undefined;
				}
				if (isFinished(pod)) return undefined;
				if (status?.phase !== 'Running') {
					await tell('Running');
					return undefined;
				}
				const code = self.exit(pod);
				if (code === undefined) return undefined;
				self.ended.set(metadata.uid ?? '', code);
				await tell(code === 0 ? 'Succeeded' : 'Failed', code);
				return undefined;
			},
		}),
	};
	return self;
}
