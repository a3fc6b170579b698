/** The door of kinds/: the built-in kinds, each a constant and a type of one name, and what every kind is made of. */

export { ageOf, humanDuration } from './age.ts';
export { SCALE_DOWN, type ScaleDown, scaleDownOf } from './apps/scale-down.ts';
export type * from './argoproj/types.ts';
export { SCALE_INTERVAL, scaleIntervalOf } from './autoscaling/scale-interval.ts';
export { scheduleFault } from './batch/cron-job.ts';
export { type JobConditionType, jobCondition, jobEnd } from './batch/finished.ts';
export * from './batch/indexes.ts';
export { CONTROLLER_UID, JOB_NAME } from './batch/job-labels.ts';
export { parseSchedule, type Schedule } from './batch/schedule.ts';
export * from './builtins.generated.ts';
export { loadRegistry } from './builtins.ts';
export { LEASE_WRITER, termOf } from './coordination/lease.ts';
export * from './core/local-volume.ts';
export * from './core/mirror-pod.ts';
export { SIMULATED_TAINT } from './core/node.ts';
export { allowedNodeLabels, isReservedNodeLabel } from './core/node-labels.ts';
export { type QosClass, qosClass } from './core/pod-qos.ts';
export { podLevel } from './core/pod-resources.ts';
export { isExtendedResource } from './core/quota-resources.ts';
export { resizePolicyOf } from './core/resize-policy.ts';
export { hasHealthPort, hasOwnEndpoints } from './core/service-spec.ts';
export { accessModesText, classOf } from './core/volume-modes.ts';
export { age, column, type Declaration, kind, wide } from './declare.ts';
export { SERVICE_NAME, TRIGGER_TIME } from './discovery/endpoint-slice.ts';
export { SCHEDULER_CONFIG, SCHEDULING_STRATEGIES, type SchedulingStrategy } from './driftless/scheduler-config.ts';
export * from './ipv4.ts';
export * from './kind.ts';
export * from './names.ts';
export * from './object.ts';
export { type Amounts, containerAmounts, podAmounts } from './pod-amounts.ts';
export * from './pod-requests.ts';
export { prune } from './prune.ts';
export * from './quantity.ts';
export { OBJECT_RESOURCES, quotaChange, quotaUsage, totals, unsaid, usageIn } from './quota-usage.ts';
export * from './registry.ts';
export { SYSTEM_PRIORITY_CLASSES } from './scheduling/priority-class.ts';
export * from './schema.ts';
export * from './selectors.ts';
export * from './status.ts';
export { attachedVolumeName, attachmentName } from './storage/attachment-names.ts';
export { csiDriverName } from './storage/csi-names.ts';
export { DEFAULT_CLASS, defaultClassOf, isDefaultClass } from './storage/storage-class.ts';
export { timestamp } from './timestamp.ts';
export {
	decodeError,
	formatFieldPath,
	type Mistyped,
	type Path,
	type Unknown,
	type Validation,
	validateObject,
	validateSchema,
} from './validate.ts';
