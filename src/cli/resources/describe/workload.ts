import type { Client } from '../../../client/index.ts';
import { type Deployment, formatLabelSelector, Pod, ReplicaSet } from '../../../kinds/index.ts';
import { templateEntry } from './container.ts';
import { type Entry, field, NONE, optional, tableOf, timeText } from './layout.ts';
import { controlledBy, labelFields, nameFields } from './metadata.ts';

const HASH = 'pod-template-hash';
const REVISION = 'deployment.kubernetes.io/revision';

export async function describeDeployment(client: Client, deployment: Deployment): Promise<Entry[]> {
	const { metadata, spec, status = {} } = deployment;
	const { items } = await client.list(ReplicaSet, {
		namespace: metadata.namespace,
		labelSelector: formatLabelSelector(spec.selector),
	});
	const owned = items.filter((set) => set.metadata.ownerReferences?.some(({ uid }) => uid === metadata.uid));
	const revision = metadata.annotations?.[REVISION];
	const current = owned.find((set) => set.metadata.annotations?.[REVISION] === revision);
	const old = owned.filter((set) => set !== current && (set.spec.replicas ?? 0) > 0);
	const { type, rollingUpdate } = spec.strategy ?? {};
	const wanted = spec.replicas ?? 1;
	const counts = [
		`${wanted} desired`,
		`${status.updatedReplicas ?? 0} updated`,
		`${status.replicas ?? 0} total`,
		`${status.availableReplicas ?? 0} available`,
		`${status.unavailableReplicas ?? 0} unavailable`,
	];
	return [
		...nameFields(deployment),
		field('CreationTimestamp', timeText(metadata.creationTimestamp)),
		...labelFields(deployment),
		field('Selector', formatLabelSelector(spec.selector)),
		field('Replicas', counts.join(' | ')),
		field('StrategyType', type),
		field('MinReadySeconds', spec.minReadySeconds ?? 0),
		...(rollingUpdate
			? [
					field(
						'RollingUpdateStrategy',
						`${rollingUpdate.maxUnavailable} max unavailable, ${rollingUpdate.maxSurge} max surge`,
					),
				]
			: []),
		...(spec.paused ? [field('Paused', 'True')] : []),
		templateEntry(spec.template),
		tableOf(
			'Conditions',
			['Type', 'Status', 'Reason', 'Message'],
			(status.conditions ?? []).map(({ type, status, reason = '', message = '' }) => [type, status, reason, message]),
		),
		field('OldReplicaSets', old.map(sizeText).join(', ')),
		field('NewReplicaSet', current ? sizeText(current) : NONE),
	];
}

const sizeText = ({ metadata, spec, status }: ReplicaSet) =>
	`${metadata.name} (${status?.replicas ?? 0}/${spec.replicas ?? 1} replicas created)`;

export async function describeReplicaSet(client: Client, set: ReplicaSet): Promise<Entry[]> {
	const { metadata, spec, status } = set;
	const { items } = await client.list(Pod, {
		namespace: metadata.namespace,
		labelSelector: formatLabelSelector(spec.selector),
	});
	const phases = new Map<string, number>();
	for (const pod of items) {
		if (!pod.metadata.ownerReferences?.some(({ uid }) => uid === metadata.uid)) continue;
		const phase = pod.status?.phase ?? 'Pending';
		phases.set(phase, (phases.get(phase) ?? 0) + 1);
	}
	const count = (phase: string, word: string) => `${phases.get(phase) ?? 0} ${word}`;
	return [
		...nameFields(set),
		field('Selector', formatLabelSelector(spec.selector)),
		...labelFields(set),
		...controlledBy(set),
		field('Replicas', `${status?.replicas ?? 0} current / ${spec.replicas ?? 1} desired`),
		field(
			'Pods Status',
			[
				count('Running', 'Running'),
				count('Pending', 'Waiting'),
				count('Succeeded', 'Succeeded'),
				count('Failed', 'Failed'),
			].join(' / '),
		),
		...optional('Pod Template Hash', metadata.labels?.[HASH]),
		...(spec.template ? [templateEntry(spec.template)] : []),
		...((status?.conditions?.length ?? 0) > 0
			? [
					tableOf(
						'Conditions',
						['Type', 'Status', 'Reason', 'Message'],
						(status?.conditions ?? []).map(({ type, status, reason = '', message = '' }) => [
							type,
							status,
							reason,
							message,
						]),
					),
				]
			: []),
	];
}
