import type { Client } from '../../../client/index.ts';
import {
	accessModesText,
	type DaemonSet,
	type Deployment,
	formatLabelSelector,
	type KubeObject,
	Pod,
	ReplicaSet,
	type ReplicationController,
	type StatefulSet,
	selectorText,
} from '../../../kinds/index.ts';
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
		...conditionTable(status.conditions),
		field('OldReplicaSets', old.map(sizeText).join(', ')),
		field('NewReplicaSet', current ? sizeText(current) : NONE),
	];
}

const sizeText = ({ metadata, spec, status }: ReplicaSet) =>
	`${metadata.name} (${status?.replicas ?? 0}/${spec.replicas ?? 1} replicas created)`;

/** Of a ReplicationController as well, whose selector is a map of labels. */
export async function describeReplicas(client: Client, set: ReplicaSet | ReplicationController): Promise<Entry[]> {
	const { metadata, spec, status } = set;
	const selector = selectorText(spec.selector) ?? '';
	return [
		...nameFields(set),
		field('Selector', selector),
		...labelFields(set),
		...controlledBy(set),
		field('Replicas', `${status?.replicas ?? 0} current / ${spec.replicas ?? 1} desired`),
		...(await podsStatus(client, set, selector)),
		...optional('Pod Template Hash', metadata.labels?.[HASH]),
		...(spec.template ? [templateEntry(spec.template)] : []),
		...conditionTable(status?.conditions),
	];
}

export async function describeStatefulSet(client: Client, set: StatefulSet): Promise<Entry[]> {
	const { metadata, spec, status } = set;
	const selector = formatLabelSelector(spec.selector);
	const { type, rollingUpdate } = spec.updateStrategy ?? {};
	const claims = (spec.volumeClaimTemplates ?? []).map(({ metadata, spec }) => [
		metadata?.name ?? '',
		spec?.storageClassName ?? '',
		spec?.resources?.requests?.storage ?? '',
		accessModesText(spec?.accessModes),
	]);
	return [
		...nameFields(set),
		field('CreationTimestamp', timeText(metadata.creationTimestamp)),
		field('Selector', selector),
		...labelFields(set),
		field('Replicas', `${spec.replicas ?? 1} desired | ${status?.replicas ?? 0} total`),
		field('Update Strategy', type),
		...optional('Partition', rollingUpdate?.partition),
		...(await podsStatus(client, set, selector)),
		templateEntry(spec.template),
		tableOf('Volume Claims', ['Name', 'StorageClass', 'Capacity', 'Access Modes'], claims),
		...conditionTable(status?.conditions),
	];
}

export async function describeDaemonSet(client: Client, set: DaemonSet): Promise<Entry[]> {
	const { spec, status } = set;
	const selector = formatLabelSelector(spec.selector);
	return [
		...nameFields(set),
		field('Selector', selector),
		field('Node-Selector', formatLabelSelector({ matchLabels: spec.template.spec?.nodeSelector })),
		...labelFields(set),
		field('Desired Number of Nodes Scheduled', status?.desiredNumberScheduled ?? 0),
		field('Current Number of Nodes Scheduled', status?.currentNumberScheduled ?? 0),
		field('Number of Nodes Scheduled with Up-to-date Pods', status?.updatedNumberScheduled ?? 0),
		field('Number of Nodes Scheduled with Available Pods', status?.numberAvailable ?? 0),
		field('Number of Nodes Misscheduled', status?.numberMisscheduled ?? 0),
		...(await podsStatus(client, set, selector)),
		templateEntry(spec.template),
		...conditionTable(status?.conditions),
	];
}

/** How the pods that the object controls are. */
async function podsStatus(client: Client, { metadata }: KubeObject, labelSelector: string): Promise<Entry[]> {
	const { items } = await client.list(Pod, { namespace: metadata.namespace, labelSelector });
	const own = items.filter((pod) => pod.metadata.ownerReferences?.some(({ uid }) => uid === metadata.uid));
	const counts = [
		['Running', 'Running'],
		['Pending', 'Waiting'],
		['Succeeded', 'Succeeded'],
		['Failed', 'Failed'],
	].map(([phase, word]) => `${own.filter(({ status }) => (status?.phase ?? 'Pending') === phase).length} ${word}`);
	return [field('Pods Status', counts.join(' / '))];
}

interface Condition {
	readonly type: string;
	readonly status: string;
	readonly reason?: string;
	readonly message?: string;
}

function conditionTable(conditions: readonly Condition[] = []): Entry[] {
	if (conditions.length === 0) return [];
	const rows = conditions.map(({ type, status, reason = '', message = '' }) => [type, status, reason, message]);
	return [tableOf('Conditions', ['Type', 'Status', 'Reason', 'Message'], rows)];
}
