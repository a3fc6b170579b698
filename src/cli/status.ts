/** What `driftless status` and `driftless diff` say of applications: from their status alone, as pure text. */

import { excerpts } from '../diff/excerpt.ts';
import {
	type Application,
	type ApplicationCondition,
	type ApplicationStatus,
	type Event,
	humanDuration,
	type Node,
	type ReportedDrift,
	type ResourceStatus,
} from '../kinds/index.ts';
import { formatPosition } from '../sync/render/render.ts';
import { recordedText } from '../sync/status/revision.ts';
import { type Paint, type Style, table } from './terminal.ts';

/** The exit status of `status`: everything in sync, some drift, or nothing known of an application. */
export type Verdict = 0 | 1 | 2;

const MAX_HEALED = 5;
/** Characters of a value that `status` shows; `diff` shows more. */
const MAX_VALUE = 60;

/** Whether a condition says that something fails, and not only that something is odd. Argo CD names the latter so. */
const isError = ({ type }: ApplicationCondition) => !type.endsWith('Warning');

export function verdict(applications: readonly Application[]): Verdict {
	if (
		applications.some(
			({ status }) => !status?.sync || status.sync.status === 'Unknown' || (status.conditions ?? []).some(isError),
		)
	)
		return 2;
	return applications.some(({ status }) => status?.sync?.status !== 'Synced') ? 1 : 0;
}

const syncStyle: Readonly<Record<string, Style>> = { Synced: 'green', OutOfSync: 'yellow', Unknown: 'red' };
const healthStyle: Readonly<Record<string, Style>> = {
	Healthy: 'green',
	Progressing: 'cyan',
	Suspended: 'dim',
	Degraded: 'red',
	Missing: 'yellow',
	Unknown: 'red',
};

export interface StatusOptions {
	readonly paint: Paint;
	/** Every object, not only those that want attention. */
	readonly wide: boolean;
	/** Milliseconds since the epoch. */
	readonly now: number;
}

/** `healed` are the SelfHealed events of the applications. */
export function statusText(
	applications: readonly Application[],
	healed: readonly Event[],
	options: StatusOptions,
): string[] {
	const { paint } = options;
	if (applications.length === 0)
		return ['no applications; push to the repository that `driftless remote` prints, or apply an Application'];
	const rows = [
		['APPLICATION', 'REVISION', 'SYNC', 'HEALTH', 'OBJECTS', 'LAST SYNC'],
		...applications.map(({ metadata, status }) => {
			const sync = status?.sync?.status ?? 'Unknown';
			const health = status?.health?.status ?? 'Unknown';
			const { phase, at } = lastSync(status);
			return [
				nameOf(metadata),
				recordedText(status?.sync) || '-',
				paint(syncStyle[sync] ?? 'dim', sync),
				paint(healthStyle[health] ?? 'dim', health),
				String((status?.resources?.length ?? 0) + (status?.resourcesLeftOut ?? 0)),
				phase ? `${phase}${at ? ` ${humanDuration(options.now - Date.parse(at))} ago` : ''}` : '-',
			];
		}),
	];
	const [head = '', ...lines] = table(rows);
	return [
		paint('bold', head),
		...applications.flatMap((application, index) => [lines[index] ?? '', ...details(application, healed, options)]),
	];
}

/** How the last sync went, and when it ended; a dry run is none. */
function lastSync(status: ApplicationStatus | undefined): { readonly phase?: string; readonly at?: string } {
	const operation = status?.operationState;
	if (!operation?.operation.sync?.dryRun) return { phase: operation?.phase, at: operation?.finishedAt };
	const before = status?.history?.at(-1);
	return before ? { phase: 'Succeeded', at: before.deployedAt } : {};
}

/** Where pods cannot run: what an application's health does not say until they have failed. */
export function nodeTroubles(nodes: readonly Node[], paint: Paint, now: number): string[] {
	if (nodes.length === 0)
		return [`${paint('red', '!')} no node has joined, so no pod can run: see what \`driftless up\` has printed`];
	return nodes.flatMap(({ metadata, status }) => {
		const simulated = status?.nodeInfo?.containerRuntimeVersion?.startsWith('simulated:');
		const said = simulated ? [`${paint('yellow', '!')} node ${metadata.name} is simulated: nothing runs on it`] : [];
		const ready = status?.conditions?.find(({ type }) => type === 'Ready');
		if (!ready) return [`${paint('red', '!')} node ${metadata.name} has not said yet whether it can run pods`];
		if (ready.status === 'True') return said;
		const since = ready.lastTransitionTime ? ` for ${humanDuration(now - Date.parse(ready.lastTransitionTime))}` : '';
		return [`${paint('red', '!')} node ${metadata.name} has not been ready${since}: ${ready.message || ready.reason}`];
	});
}

function details(application: Application, healed: readonly Event[], options: StatusOptions): string[] {
	const { paint, wide, now } = options;
	const { status } = application;
	const lines: string[] = [];
	for (const condition of status?.conditions ?? [])
		lines.push(`  ${paint(isError(condition) ? 'red' : 'yellow', '!')} ${condition.message}`);
	const operation = status?.operationState;
	const { phase } = lastSync(status);
	// One that is tried again later has ended, and is under way.
	const failed =
		phase === 'Failed' || phase === 'Error' || (phase === 'Running' && operation?.finishedAt !== undefined);
	if (operation && failed) lines.push(`  ${paint('red', '!')} last sync: ${operation.message ?? operation.phase}`);
	// Of an application that does not count at all nothing was compared: what was known last is no news.
	const invalid = status?.conditions?.some(({ type }) => type === 'InvalidSpecError');
	const { lacking, others } = byLack(invalid ? [] : (status?.resources ?? []), wide);
	for (const [first, more] of lacking) {
		lines.push(`  ${paint('bold', `${more + 1} objects in ${first.namespace}`)}: ${paint('yellow', 'missing')}`);
		lines.push(`      ${paint('red', first.message ?? '')}`);
	}
	for (const resource of others) {
		const unhealthy = resource.health !== undefined && resource.health.status !== 'Healthy';
		if (resource.status === 'Synced' && !unhealthy && !wide && !resource.message) continue;
		lines.push(`  ${resourceLine(resource, paint)}`);
		lines.push(...driftLines(resource, options).map((line) => `      ${line}`));
	}
	if (status?.resourcesLeftOut) lines.push(paint('dim', `  and ${status.resourcesLeftOut} more, not listed here`));
	if (status?.selfHealAt) {
		const wait = Math.max(0, Math.ceil((Date.parse(status.selfHealAt) - now) / 1_000));
		lines.push(paint('dim', `  what has drifted is mended in ${wait} s`));
	}
	const stays = whatStays(application);
	if (stays) lines.push(paint('dim', `  ${stays}`));
	const there = new Set((status?.resources ?? []).map(healedName));
	const mine = healed
		.filter(({ involvedObject }) => involvedObject.uid === application.metadata.uid)
		// Of an object that has left the source nothing is to be told any more; one that is not listed may be there.
		.filter(({ message = '' }) => status?.resourcesLeftOut || there.has(message.split(': ', 1)[0] ?? ''))
		.sort((a, b) => (b.lastTimestamp ?? '').localeCompare(a.lastTimestamp ?? ''));
	for (const { message, lastTimestamp, count } of mine.slice(0, MAX_HEALED)) {
		lines.push(
			`  ${paint('green', '✓')} healed ${lastTimestamp ? `${humanDuration(now - Date.parse(lastTimestamp))} ago` : ''}${(count ?? 1) > 1 ? ` (${count} times)` : ''}: ${message}`,
		);
	}
	return lines;
}

/** Objects that are missing for one and the same reason, as in a namespace that is not there: they are told of once. */
function byLack(resources: readonly ResourceStatus[], wide: boolean) {
	const lacking = resources.filter(
		({ health, message, namespace }) => !wide && health?.status === 'Missing' && message && namespace,
	);
	const alike = Map.groupBy(lacking, ({ namespace, message }) => JSON.stringify([namespace, message]));
	const groups = [...alike.values()].filter(({ length }) => length > 1);
	const told = new Set(groups.flat());
	return {
		/** The first of each group, and how many more there are. */
		lacking: groups.flatMap(([first, ...more]) => (first ? [[first, more.length] as const] : [])),
		others: resources.filter((each) => !told.has(each)),
	};
}

/** How the message of a SelfHealed event begins: `deployment.apps/web in shop`. */
const healedName = ({ group, kind = '', name, namespace }: ResourceStatus) =>
	`${kind.toLowerCase()}${group ? `.${group}` : ''}/${name}${namespace ? ` in ${namespace}` : ''}`;

/** As commands take it. */
const nameOf = ({ namespace, name }: Application['metadata']) =>
	namespace === 'default' ? name : `${namespace}/${name}`;

/** Why what is out of sync does not come into sync by itself, and what to type. */
function whatStays({ metadata, spec, status }: Application): string | undefined {
	if (status?.sync?.status !== 'OutOfSync' || lastSync(status).phase === 'Running') return undefined;
	const automated = spec.syncPolicy?.automated;
	const sync = `driftless sync ${nameOf(metadata)}`;
	if (!automated || automated.enabled === false) return `automated sync is off; to apply what the source says: ${sync}`;
	const leaves = status.resources?.some(({ requiresPruning, message }) => requiresPruning && !message);
	return leaves && !automated.prune ? `what left the source is kept; to delete it: ${sync} --prune` : undefined;
}

function resourceLine(resource: ResourceStatus, paint: Paint): string {
	const name = `${resource.kind}${resource.group ? `.${resource.group}` : ''} ${resource.namespace ? `${resource.namespace}/` : ''}${resource.name}`;
	const words: string[] = [];
	const leaving = resource.health?.message === 'Pending deletion';
	if (resource.requiresPruning)
		words.push(
			paint('yellow', `no longer in the source, ${leaving ? 'being deleted' : (resource.message ?? 'to be pruned')}`),
		);
	else if (resource.status !== 'Synced')
		words.push(paint('yellow', resource.health?.status === 'Missing' ? 'missing' : 'drifted'));
	else words.push(paint('green', 'in sync'), ...(resource.message ? [paint('yellow', resource.message)] : []));
	const { health } = resource;
	if (health && health.status !== 'Missing' && !(leaving && resource.requiresPruning))
		words.push(
			`${paint(healthStyle[health.status ?? ''] ?? 'dim', health.status ?? '')}${health.message ? ` (${health.message})` : ''}`,
		);
	return `${paint('bold', name)}: ${words.join(', ')}`;
}

function driftLines(resource: ResourceStatus, { paint, now, wide }: StatusOptions): string[] {
	const lines = (resource.drift ?? []).map((field) => {
		const [live, desired] = excerpts(field.live, field.desired, MAX_VALUE);
		const sides = `${paint('red', side(live))} live, ${paint('green', side(desired))} desired`;
		return `${field.path}: ${sides}${who(field, now, paint)}${place(field.origin, paint)}`;
	});
	lines.push(...unlisted(resource, paint));
	if (resource.origin) lines.push(`written at${place(resource.origin, paint)}`);
	if (resource.message && !resource.requiresPruning) lines.push(paint('red', resource.message));
	if (wide) lines.push(...unmanagedText(resource).map((text) => paint('dim', text)));
	return lines;
}

/** What people have set beside the source, which is no drift and easily forgotten. */
function unmanagedText({ unmanaged = [] }: ResourceStatus): string[] {
	return unmanaged.map(
		({ manager, fields }) => `${fields} field${fields === 1 ? '' : 's'} beside the source, set by ${manager}`,
	);
}

/** What the status does not list of the drifted fields. */
function unlisted({ drift = [], driftedFields = drift.length }: ResourceStatus, paint: Paint): string[] {
	const more = driftedFields - drift.length;
	if (more <= 0) return [];
	return [paint('dim', drift.length > 0 ? `and ${more} more fields` : `${more} fields, not listed here`)];
}

const side = (json: string | undefined) => json ?? '(none)';
const who = (field: ReportedDrift, now: number, paint: Paint) =>
	field.manager
		? paint(
				'dim',
				`, set by ${field.manager}${field.time ? ` ${humanDuration(now - Date.parse(field.time))} ago` : ''}`,
			)
		: '';
const place = (origin: ReportedDrift['origin'], paint: Paint) =>
	origin ? paint('dim', ` (${formatPosition(origin)})`) : '';

/** Why an application cannot be compared; undefined where it can. */
export function unknownText({ metadata, status }: Application): string | undefined {
	if (status?.sync && status.sync.status !== 'Unknown') return undefined;
	const why = (status?.conditions ?? []).filter(isError).map(({ message }) => message);
	return `${metadata.name} cannot be compared: ${why.join('; ') || 'nothing is known of it yet'}`;
}

/** Why the API would not take an object. */
const refusal = ({ message }: ResourceStatus, paint: Paint) => (message ? [paint('red', `  ! ${message}`)] : []);

/** One block an object, one pair of lines a field: what is, and what should be, with where that is written. */
export function diffText(application: Application, paint: Paint): string[] {
	const lines: string[] = [];
	for (const resource of application.status?.resources ?? []) {
		if (resource.status === 'Synced') continue;
		const name = `${resource.kind}${resource.group ? `.${resource.group}` : ''} ${resource.namespace ? `${resource.namespace}/` : ''}${resource.name}`;
		if (resource.requiresPruning)
			lines.push(
				paint('bold', name),
				paint('red', `- no longer in the source: ${resource.message ?? 'the next sync with prune deletes it'}`),
			);
		else if (resource.health?.status === 'Missing') {
			lines.push(
				paint('bold', name),
				paint(
					'green',
					`+ not in the cluster: the next sync creates it${resource.origin ? ` from ${formatPosition(resource.origin)}` : ''}`,
				),
				...refusal(resource, paint),
			);
		} else {
			lines.push(paint('bold', name));
			for (const field of resource.drift ?? []) {
				lines.push(`  ${field.path}${field.manager ? paint('dim', `  (set by ${field.manager})`) : ''}`);
				if (field.live !== undefined) lines.push(paint('red', `  - ${field.live}`));
				if (field.desired !== undefined)
					lines.push(`${paint('green', `  + ${field.desired}`)}${place(field.origin, paint)}`);
			}
			lines.push(...unlisted(resource, paint).map((line) => `  ${line}`));
			lines.push(...refusal(resource, paint));
		}
	}
	return lines;
}
