import type { Application, ApplicationSource } from '../../../kinds/index.ts';
import { type Entry, field, optional, section, tableOf, timeText } from './layout.ts';
import { labelFields, nameFields } from './metadata.ts';

export function describeApplication(application: Application): Entry[] {
	const { metadata, spec, status = {} } = application;
	const sources = spec.sources?.length ? spec.sources : spec.source ? [spec.source] : [];
	const { sync, health, operationState: operation } = status;
	const automated = spec.syncPolicy?.automated;
	const automation =
		automated && automated.enabled !== false
			? ['Automated', ...(automated.prune ? ['prune'] : []), ...(automated.selfHeal ? ['self-heal'] : [])].join(', ')
			: 'by hand';
	return [
		...nameFields(application),
		...labelFields(application),
		field('CreationTimestamp', timeText(metadata.creationTimestamp)),
		field('Project', spec.project),
		...sources.map((source, index) => section(index === 0 ? 'Source' : `Source ${index + 1}`, sourceFields(source))),
		section('Destination', [
			...optional('Server', spec.destination.server),
			...optional('Name', spec.destination.name),
			...optional('Namespace', spec.destination.namespace),
		]),
		field('Sync Policy', automation),
		...((spec.syncPolicy?.syncOptions?.length ?? 0) > 0 ? [field('Sync Options', spec.syncPolicy?.syncOptions)] : []),
		field('Sync Status', sync?.status ?? 'Unknown'),
		field('Revision', sync?.revision ?? sync?.revisions?.join(', ')),
		field('Health', `${health?.status ?? 'Unknown'}${health?.message ? ` (${health.message})` : ''}`),
		...(operation
			? [
					section('Last Operation', [
						field('Phase', operation.phase),
						...optional('Message', operation.message),
						field('Started', timeText(operation.startedAt)),
						...optional('Finished', timeText(operation.finishedAt)),
					]),
				]
			: []),
		...((status.conditions?.length ?? 0) > 0
			? [
					tableOf(
						'Conditions',
						['Type', 'Last Transition', 'Message'],
						(status.conditions ?? []).map(({ type, lastTransitionTime, message }) => [
							type,
							timeText(lastTransitionTime),
							message.replace(/\s*\n\s*/g, ' '),
						]),
					),
				]
			: []),
		tableOf(
			'Resources',
			['Kind', 'Namespace', 'Name', 'Sync', 'Health', 'Drifted Fields'],
			(status.resources ?? []).map((each) => [
				`${each.kind ?? ''}${each.group ? `.${each.group}` : ''}`,
				each.namespace ?? '',
				each.name ?? '',
				each.requiresPruning ? 'to be pruned' : (each.status ?? ''),
				each.health?.status ?? '',
				(each.drift ?? []).map(({ path }) => path).join(', '),
			]),
		),
		tableOf(
			'History',
			['Id', 'Revision', 'Deployed At'],
			(status.history ?? []).map(({ id, revision, revisions = [], deployedAt }) => [
				String(id),
				revision || revisions.join(', '),
				timeText(deployedAt),
			]),
		),
	];
}

function sourceFields({ name, ref, repoURL, path, targetRevision, chart, directory }: ApplicationSource): Entry[] {
	return [
		...optional('Name', name),
		field('Repo URL', repoURL),
		field('Target Revision', targetRevision ?? 'HEAD'),
		...optional('Path', path),
		...optional('Ref', ref && !path && !chart ? `${ref} (only referred to: it describes no objects)` : ref),
		...optional('Chart', chart),
		...(directory?.recurse === undefined ? [] : [field('Recurse', directory.recurse)]),
	];
}
