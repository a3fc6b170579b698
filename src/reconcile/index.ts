/** The door of reconcile/: the controllers of a cluster, what a controller is, and how controllers run. */
export { type ClusterOptions, clusterControllers } from './all.ts';
export { controllerOf } from './claim.ts';
export * from './controller.ts';
export { declaredKinds } from './declared.ts';
export type { ControllerMetrics, Metrics } from './metrics.ts';
export { type RuntimeOptions, runControllers } from './runtime.ts';
