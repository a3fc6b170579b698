/** The door of reconcile/: the controllers of a cluster, what a controller is, and how controllers run. */
export { type ClusterOptions, clusterControllers } from './all.ts';
export { controllerOf } from './runtime/claim.ts';
export * from './runtime/controller.ts';
export { declaredKinds } from './runtime/declared.ts';
export { type Input, type Reading, readings, type Surroundings, watchedFile } from './runtime/inputs.ts';
export { type ControllerMetrics, controllerFamilies, type Metrics } from './runtime/metrics.ts';
export { type RuntimeOptions, runControllers } from './runtime/runtime.ts';
export { createSchedulerMetrics, type SchedulerMetrics } from './scheduling/metrics.ts';
export {
	type ApiServer,
	fingerprint,
	isServerLease,
	SERVER_RENEW_MS,
	SERVERS_NAMESPACE,
	serverLease,
	serverOf,
} from './services/api-servers.ts';
export { claimTroubleOf, troubleIndexes } from './volumes/trouble.ts';
