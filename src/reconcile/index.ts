/** The door of reconcile/. */
export * from './controller.ts';
export type { ControllerMetrics, Metrics } from './metrics.ts';
export { type RuntimeOptions, runControllers } from './runtime.ts';
