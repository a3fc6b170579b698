/** The door of monitoring/: what is told to a Prometheus, and what is asked of one. */
export { autoscalerMetrics } from './autoscaler-metrics.ts';
export { connectPrometheus } from './prometheus.ts';
export { stateText } from './state/index.ts';
