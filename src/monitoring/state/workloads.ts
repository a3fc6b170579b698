/** Series of workloads. Source: kube-state-metrics documentation, the page of each kind. */
import {
	CronJob,
	DaemonSet,
	Deployment,
	HorizontalPodAutoscaler,
	Job,
	PodDisruptionBudget,
	ReplicaSet,
	StatefulSet,
} from '../../kinds/index.ts';
import {
	conditions,
	created,
	figure,
	generations,
	info,
	observed,
	owner,
	type Sample,
	seconds,
	several,
	texts,
} from './series.ts';

const deployment = 'kube_deployment';
const replicaSet = 'kube_replicaset';
const statefulSet = 'kube_statefulset';
const daemonSet = 'kube_daemonset';
const job = 'kube_job';
const cronJob = 'kube_cronjob';
const autoscaler = 'kube_horizontalpodautoscaler';
const budget = 'kube_poddisruptionbudget';

export const workloadSeries = [
	observed<Deployment>(Deployment, [
		created(deployment),
		...generations<Deployment>(deployment),
		figure(`${deployment}_spec_replicas`, 'Pods that are wanted.', ({ spec }) => spec.replicas),
		figure(`${deployment}_spec_paused`, 'Whether it is paused.', ({ spec }) => spec.paused ?? false),
		figure(`${deployment}_status_replicas`, 'Pods that are there.', ({ status }) => status?.replicas ?? 0),
		figure(`${deployment}_status_replicas_ready`, 'Those that are ready.', ({ status }) => status?.readyReplicas ?? 0),
		figure(
			`${deployment}_status_replicas_available`,
			'Those that are available.',
			({ status }) => status?.availableReplicas ?? 0,
		),
		figure(
			`${deployment}_status_replicas_unavailable`,
			'Those that are not.',
			({ status }) => status?.unavailableReplicas ?? 0,
		),
		figure(
			`${deployment}_status_replicas_updated`,
			'Those of the newest template.',
			({ status }) => status?.updatedReplicas ?? 0,
		),
		several(`${deployment}_status_condition`, 'Its conditions.', ({ status }) => conditions(status?.conditions)),
	]),
	observed<ReplicaSet>(ReplicaSet, [
		created(replicaSet),
		...generations<ReplicaSet>(replicaSet),
		owner(`${replicaSet}_owner`),
		figure(`${replicaSet}_spec_replicas`, 'Pods that are wanted.', ({ spec }) => spec.replicas),
		figure(`${replicaSet}_status_replicas`, 'Pods that are there.', ({ status }) => status?.replicas ?? 0),
		figure(`${replicaSet}_status_ready_replicas`, 'Those that are ready.', ({ status }) => status?.readyReplicas ?? 0),
	]),
	observed<StatefulSet>(StatefulSet, [
		created(statefulSet),
		...generations<StatefulSet>(statefulSet),
		figure(`${statefulSet}_replicas`, 'Pods that are wanted.', ({ spec }) => spec.replicas),
		figure(`${statefulSet}_status_replicas`, 'Pods that are there.', ({ status }) => status?.replicas ?? 0),
		figure(`${statefulSet}_status_replicas_ready`, 'Those that are ready.', ({ status }) => status?.readyReplicas ?? 0),
		figure(
			`${statefulSet}_status_replicas_available`,
			'Those that are available.',
			({ status }) => status?.availableReplicas ?? 0,
		),
		figure(
			`${statefulSet}_status_replicas_current`,
			'Those of the revision before.',
			({ status }) => status?.currentReplicas ?? 0,
		),
		figure(
			`${statefulSet}_status_replicas_updated`,
			'Those of the newest revision.',
			({ status }) => status?.updatedReplicas ?? 0,
		),
	]),
	observed<DaemonSet>(DaemonSet, [
		created(daemonSet),
		...generations<DaemonSet>(daemonSet),
		...(
			[
				['current_number_scheduled', 'Nodes that have its pod and should.', 'currentNumberScheduled'],
				['desired_number_scheduled', 'Nodes that should.', 'desiredNumberScheduled'],
				['number_available', 'Nodes where it is available.', 'numberAvailable'],
				['number_misscheduled', 'Nodes that have it and should not.', 'numberMisscheduled'],
				['number_ready', 'Nodes where it is ready.', 'numberReady'],
				['number_unavailable', 'Nodes where it is not available.', 'numberUnavailable'],
				['updated_number_scheduled', 'Nodes that have the newest pod.', 'updatedNumberScheduled'],
			] as const
		).map(([name, help, field]) =>
			figure<DaemonSet>(`${daemonSet}_status_${name}`, help, ({ status }) => status?.[field] ?? 0),
		),
	]),
	observed<Job>(
		Job,
		[
			info(`${job}_info`, 'That there is one.', () => ({})),
			created(job),
			owner(`${job}_owner`),
			figure(`${job}_spec_parallelism`, 'Pods that may run at once.', ({ spec }) => spec.parallelism),
			figure(`${job}_spec_completions`, 'Pods that have to succeed.', ({ spec }) => spec.completions),
			figure(`${job}_status_active`, 'Pods that run.', ({ status }) => status?.active ?? 0),
			figure(`${job}_status_succeeded`, 'Pods that have succeeded.', ({ status }) => status?.succeeded ?? 0),
			figure(`${job}_status_failed`, 'Pods that have failed.', ({ status }) => status?.failed ?? 0),
			figure(`${job}_status_start_time`, 'When it began, in seconds since the epoch.', ({ status }) =>
				seconds(status?.startTime),
			),
			figure(`${job}_status_completion_time`, 'When it was complete, in seconds since the epoch.', ({ status }) =>
				seconds(status?.completionTime),
			),
			several(`${job}_complete`, 'Whether it is complete.', (each) => conditionOf(each, 'Complete')),
			several(`${job}_failed`, 'Whether it has failed.', (each) => conditionOf(each, 'Failed')),
		],
		({ metadata: { namespace = '', name } }) => ({ namespace, job_name: name }),
	),
	observed<CronJob>(CronJob, [
		info(`${cronJob}_info`, 'When it runs.', ({ spec }) => ({
			schedule: spec.schedule,
			concurrency_policy: spec.concurrencyPolicy,
			timezone: spec.timeZone ?? 'local',
		})),
		created(cronJob),
		figure(`${cronJob}_spec_suspend`, 'Whether it is suspended.', ({ spec }) => spec.suspend ?? false),
		figure(`${cronJob}_status_active`, 'Jobs of it that run.', ({ status }) => status?.active?.length ?? 0),
		figure(`${cronJob}_status_last_schedule_time`, 'When it ran last, in seconds since the epoch.', ({ status }) =>
			seconds(status?.lastScheduleTime),
		),
		figure(
			`${cronJob}_status_last_successful_time`,
			'When it last succeeded, in seconds since the epoch.',
			({ status }) => seconds(status?.lastSuccessfulTime),
		),
	]),
	observed<HorizontalPodAutoscaler>(HorizontalPodAutoscaler, [
		info(`${autoscaler}_info`, 'What it scales.', ({ spec: { scaleTargetRef } }) => ({
			scaletargetref_kind: scaleTargetRef.kind,
			scaletargetref_name: scaleTargetRef.name,
			scaletargetref_api_version: scaleTargetRef.apiVersion,
		})),
		created(autoscaler),
		figure(`${autoscaler}_spec_min_replicas`, 'The fewest replicas.', ({ spec }) => spec.minReplicas),
		figure(`${autoscaler}_spec_max_replicas`, 'The most replicas.', ({ spec }) => spec.maxReplicas),
		figure(
			`${autoscaler}_status_current_replicas`,
			'Replicas that were there.',
			({ status }) => status?.currentReplicas ?? 0,
		),
		figure(
			`${autoscaler}_status_desired_replicas`,
			'Replicas that it wants.',
			({ status }) => status?.desiredReplicas ?? 0,
		),
		several(`${autoscaler}_status_condition`, 'Its conditions.', ({ status }) => conditions(status?.conditions)),
	]),
	observed<PodDisruptionBudget>(PodDisruptionBudget, [
		created(budget),
		figure(`${budget}_status_current_healthy`, 'Pods that are healthy.', ({ status }) => status?.currentHealthy),
		figure(`${budget}_status_desired_healthy`, 'Pods that should be.', ({ status }) => status?.desiredHealthy),
		figure(
			`${budget}_status_pod_disruptions_allowed`,
			'Evictions that are allowed.',
			({ status }) => status?.disruptionsAllowed,
		),
		figure(`${budget}_status_expected_pods`, 'Pods that it counts.', ({ status }) => status?.expectedPods),
	]),
];

function* conditionOf({ status }: Job, type: string): Iterable<Sample> {
	const found = status?.conditions?.find((condition) => condition.type === type);
	if (!found) return;
	for (const each of ['true', 'false', 'unknown']) {
		yield [texts({ condition: each }), Number(found.status.toLowerCase() === each)];
	}
}
