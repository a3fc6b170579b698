/** Every controller of a cluster. */

import { rootCa } from './accounts/root-ca.ts';
import { serviceAccount } from './accounts/service-account.ts';
import { type AutoscalerOptions, horizontalPodAutoscaler } from './autoscaling/hpa.ts';
import { garbageCollector } from './cleanup/garbage-collector.ts';
import { namespace } from './cleanup/namespace.ts';
import { podGc } from './cleanup/pod-gc.ts';
import { type DriverCalls, driverControllers } from './csi/index.ts';
import { type NodeSigner, nodeCertificates } from './nodes/node-certificates.ts';
import { nodeCidr, type PodNetwork } from './nodes/node-cidr.ts';
import { nodeLifecycle } from './nodes/node-lifecycle.ts';
import { taintEviction } from './nodes/taint-eviction.ts';
import { disruption, staleDisruption } from './policy/disruption.ts';
import { resourceQuota } from './policy/resource-quota.ts';
import type { Controller } from './runtime/controller.ts';
import { type SchedulerOptions, scheduler } from './scheduling/scheduler.ts';
import { clusterDns } from './services/cluster-dns.ts';
import { endpoints } from './services/endpoints.ts';
import { endpointSlice } from './services/endpointslice.ts';
import { endpointSliceMirroring } from './services/endpointslice-mirroring.ts';
import { type KubernetesService, kubernetesService } from './services/kubernetes-service.ts';
import { type LoadBalancerOptions, loadBalancer } from './services/load-balancer.ts';
import { attachDetach } from './volumes/attach-detach.ts';
import { claimBinder } from './volumes/claim-binder.ts';
import { ephemeralVolumes } from './volumes/ephemeral.ts';
import { volumeExpansion } from './volumes/expansion.ts';
import { localProvisioner, localReclaimer } from './volumes/local-provisioner.ts';
import { claimProtection, volumeProtection } from './volumes/protection.ts';
import { recycler } from './volumes/recycler.ts';
import { standardClass } from './volumes/standard-class.ts';
import { volumeBinder } from './volumes/volume-binder.ts';
import { cronJob } from './workloads/cronjob.ts';
import { daemonSet } from './workloads/daemonset.ts';
import { deployment } from './workloads/deployment.ts';
import { job } from './workloads/job.ts';
import { jobFinalizer } from './workloads/job-finalizer.ts';
import { replicaSet } from './workloads/replicaset.ts';
import { replicationController } from './workloads/replicationcontroller.ts';
import { statefulSet } from './workloads/statefulset.ts';
import { ttlAfterFinished } from './workloads/ttl-after-finished.ts';

export interface ClusterOptions {
	/** The certificate authority of the API in PEM, to be put into each namespace. */
	readonly ca?: string;
	readonly podNetwork?: PodNetwork;
	readonly scheduler?: SchedulerOptions;
	readonly autoscaler?: AutoscalerOptions;
	/** Signs the certificates of nodes. */
	readonly nodeSigner?: NodeSigner;
	/** Where the service `kubernetes` leads to. */
	readonly kubernetesService?: KubernetesService;
	readonly loadBalancer?: LoadBalancerOptions;
	/** Reaches storage drivers by the agents of their nodes. */
	readonly driverCalls?: DriverCalls;
	/** The address of cluster DNS. */
	readonly clusterDns?: string;
}

/** The controllers of the control plane, to be given to runControllers. Make them anew for each process, not for each term of leadership. */
export function clusterControllers(options: ClusterOptions = {}): Controller[] {
	return [
		namespace,
		serviceAccount,
		nodeCidr(options.podNetwork),
		nodeLifecycle,
		taintEviction,
		scheduler(options.scheduler),
		standardClass,
		claimBinder,
		volumeBinder,
		claimProtection,
		volumeProtection,
		localProvisioner,
		localReclaimer,
		attachDetach(),
		ephemeralVolumes,
		volumeExpansion,
		recycler,
		deployment,
		replicaSet,
		job,
		jobFinalizer,
		ttlAfterFinished,
		cronJob,
		replicationController,
		statefulSet,
		daemonSet,
		horizontalPodAutoscaler(options.autoscaler),
		endpoints(),
		endpointSlice,
		endpointSliceMirroring,
		loadBalancer(options.loadBalancer),
		resourceQuota,
		disruption,
		staleDisruption,
		garbageCollector(),
		podGc(),
		...(options.driverCalls ? driverControllers(options.driverCalls) : []),
		...(options.ca ? [rootCa(options.ca)] : []),
		...(options.nodeSigner ? [nodeCertificates(options.nodeSigner)] : []),
		...(options.kubernetesService ? [kubernetesService(options.kubernetesService)] : []),
		...(options.clusterDns ? [clusterDns(options.clusterDns)] : []),
	];
}
