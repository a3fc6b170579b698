import type { Toleration, Volume } from 'kubernetes-types/core/v1.js';
import type { Pod } from '../../../kinds/index.ts';
import { containerEntry } from './container.ts';
import { type Entry, field, optional, pairs, section, timeText } from './layout.ts';
import { controlledBy, labelFields, nameFields } from './metadata.ts';

export function describePod(pod: Pod): Entry[] {
	const { metadata, spec, status = {} } = pod;
	const statuses = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])];
	const containers = (all: Pod['spec']['containers']) =>
		all.map((container) =>
			containerEntry(
				container,
				statuses.find(({ name }) => name === container.name),
				true,
			),
		);
	const deleting = metadata.deletionTimestamp !== undefined;
	return [
		...nameFields(pod),
		...optional('Priority', spec.priority),
		...optional('Priority Class Name', spec.priorityClassName),
		field('Service Account', spec.serviceAccountName ?? 'default'),
		field('Node', spec.nodeName && (status.hostIP ? `${spec.nodeName}/${status.hostIP}` : spec.nodeName)),
		...optional('Start Time', timeText(status.startTime)),
		...labelFields(pod),
		field('Status', deleting ? `Terminating (since ${timeText(metadata.deletionTimestamp)})` : status.phase),
		...(deleting ? [field('Termination Grace Period', `${metadata.deletionGracePeriodSeconds ?? 0}s`)] : []),
		...optional('Reason', status.reason),
		...optional('Message', status.message),
		field('IP', status.podIP),
		section(
			'IPs',
			(status.podIPs ?? []).map(({ ip }) => field('IP', ip)),
		),
		...controlledBy(pod),
		...(spec.initContainers?.length ? [section('Init Containers', containers(spec.initContainers))] : []),
		section('Containers', containers(spec.containers)),
		...conditions(pod),
		section('Volumes', (spec.volumes ?? []).map(volumeEntry)),
		field('QoS Class', status.qosClass),
		field('Node-Selectors', pairs(spec.nodeSelector)),
		field('Tolerations', (spec.tolerations ?? []).map(tolerationText)),
	];
}

function conditions({ status }: Pod): Entry[] {
	const found = status?.conditions ?? [];
	if (found.length === 0) return [];
	// What is not as it should be says why.
	const rows = found.map(({ type, status, reason, message }) => [
		type,
		status,
		status === 'True' ? '' : [reason, message].filter(Boolean).join(': '),
	]);
	const explained = rows.some(([, , why]) => why);
	const table = [['Type', 'Status', 'Reason'], ...rows].map((row) => (explained ? row : row.slice(0, 2)));
	return [{ label: 'Conditions', table }];
}

function volumeEntry(volume: Volume): Entry {
	const { name, emptyDir, hostPath, configMap, secret, projected, persistentVolumeClaim: claim, downwardAPI } = volume;
	const of = (type: string, more: Entry[]): Entry => ({ label: name, under: [field('Type', type), ...more] });
	if (emptyDir)
		return of("EmptyDir (a temporary directory that shares a pod's lifetime)", [
			{ label: 'Medium', value: emptyDir.medium ?? '' },
			field('SizeLimit', emptyDir.sizeLimit ?? '<unset>'),
		]);
	if (hostPath)
		return of('HostPath (bare host directory volume)', [
			field('Path', hostPath.path),
			{ label: 'HostPathType', value: hostPath.type ?? '' },
		]);
	if (configMap)
		return of('ConfigMap (a volume populated by a ConfigMap)', [
			field('Name', configMap.name),
			field('Optional', configMap.optional ?? false),
		]);
	if (secret)
		return of('Secret (a volume populated by a Secret)', [
			field('SecretName', secret.secretName),
			field('Optional', secret.optional ?? false),
		]);
	if (claim)
		return of('PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)', [
			field('ClaimName', claim.claimName),
			field('ReadOnly', claim.readOnly ?? false),
		]);
	if (projected) {
		const sources = (projected.sources ?? []).map((source) =>
			source.configMap
				? `ConfigMap ${source.configMap.name}`
				: source.secret
					? `Secret ${source.secret.name}`
					: source.serviceAccountToken
						? `token for ${source.serviceAccountToken.expirationSeconds ?? 3600}s`
						: 'fields of the pod',
		);
		return of('Projected (a volume that contains injected data from multiple sources)', [field('Sources', sources)]);
	}
	if (downwardAPI) return of('DownwardAPI (a volume populated by information about the pod)', []);
	const [type = 'unknown'] = Object.keys(volume).filter((key) => key !== 'name');
	return of(type, []);
}

/** `node.kubernetes.io/not-ready:NoExecute op=Exists for 300s`. */
export function tolerationText({ key = '', operator, value, effect, tolerationSeconds }: Toleration): string {
	const what = `${key}${value ? `=${value}` : ''}${effect ? `:${effect}` : ''}`;
	const op = operator === 'Exists' ? ' op=Exists' : '';
	return `${what}${op}${tolerationSeconds === undefined ? '' : ` for ${tolerationSeconds}s`}`.trim();
}
