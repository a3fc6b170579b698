/** Every controller of a cluster. */
import { clusterDns } from './cluster-dns.ts';
import type { Controller } from './controller.ts';
import { deployment } from './deployment.ts';
import { endpoints } from './endpoints.ts';
import { endpointSlice } from './endpointslice.ts';
import { endpointSliceMirroring } from './endpointslice-mirroring.ts';
import { eventTtl } from './event-ttl.ts';
import { garbageCollector } from './garbage-collector.ts';
import { type KubernetesService, kubernetesService } from './kubernetes-service.ts';
import { namespace } from './namespace.ts';
import { nodeCidr, type PodNetwork } from './node-cidr.ts';
import { nodeLifecycle } from './node-lifecycle.ts';
import { podGc } from './pod-gc.ts';
import { replicaSet } from './replicaset.ts';
import { rootCa } from './root-ca.ts';
import { type SchedulerOptions, scheduler } from './scheduler.ts';
import { serviceAccount } from './service-account.ts';

export interface ClusterOptions {
	/** The certificate authority of the API in PEM, to be put into each namespace. */
	readonly ca?: string;
	readonly podNetwork?: PodNetwork;
	readonly scheduler?: SchedulerOptions;
	/** Where the service `kubernetes` leads to. */
	readonly kubernetesService?: KubernetesService;
	/** The address of cluster DNS. */
	readonly clusterDns?: string;
}

/** The controllers of the control plane, to be given to runControllers. Make them anew for each process, not for each term of leadership. */
export function clusterControllers(options: ClusterOptions = {}): Controller[] {
	return [
		namespace,
		serviceAccount,
		nodeCidr(options.podNetwork),
		nodeLifecycle(),
		scheduler(options.scheduler),
		deployment,
		replicaSet,
		endpoints,
		endpointSlice,
		endpointSliceMirroring,
		garbageCollector(),
		podGc(),
		eventTtl,
		...(options.ca ? [rootCa(options.ca)] : []),
		...(options.kubernetesService ? [kubernetesService(options.kubernetesService)] : []),
		...(options.clusterDns ? [clusterDns(options.clusterDns)] : []),
	];
}
