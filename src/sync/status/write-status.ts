/** Writes the status of an application: only what differs, and not too often. */
import type { Client } from '../../client/index.ts';
import {
	Application,
	type ApplicationStatus,
	type Dynamic,
	type ResourceStatus,
	timestamp as timeOf,
} from '../../kinds/index.ts';
import { type Fields, isFields } from '../../kinds/mergetype.ts';
import type { Again, Context } from '../../reconcile/index.ts';
import { troubleBelow } from '../compare/trouble.ts';
import { homeless } from '../operation/absent.ts';
import type { ApplicationState, Problem } from '../state.ts';
import { report } from './report.ts';

/** A status is written at most this often, unless sync, health or a condition of the whole application changed. */
const STATUS_INTERVAL_MS = 500;

/** Writes what the comparison says, if it differs from what the status has; not too often. */
export async function writeReport(
	application: Application,
	state: ApplicationState,
	problems: readonly Problem[],
	context: Context,
	/** Why it stays out of sync, and when what has drifted is mended. */
	{ stays, healAt }: { readonly stays?: string; readonly healAt?: number } = {},
): Promise<Again | undefined> {
	const { desired } = state;
	const { syncOptions: options } = application.spec.syncPolicy ?? {};
	const observed = {
		objects: state.comparison.objects,
		revision: state.revision,
		problems,
		known:
			state.revision !== undefined && problems.every(({ type }) => type === 'SyncError' || type.endsWith('Warning')),
		sourceTypes: state.sourceTypes,
		healAt,
		homeless: homeless(state.comparison.objects.values(), { application, options, desired, cache: context.cache }),
		trouble: (live: Dynamic) => troubleBelow(live, context.cache),
	};
	const now = timestamp(context);
	const next = report(application, observed, now);
	tellCompared(state, next, stays);
	const before = application.status;
	const headline = (status: ApplicationStatus | undefined) =>
		JSON.stringify([status?.sync, status?.health?.status, status?.conditions ?? []]);
	if (sameReport(before, next)) return undefined;
	const due = state.reportedAt + STATUS_INTERVAL_MS - context.now();
	if (due > 0 && headline(before) === headline(next)) return { after: due };
	state.reportedAt = context.now();
	await writeStatus(application, { ...next, reconciledAt: now }, context.client);
	return undefined;
}

function sameReport(before: ApplicationStatus | undefined, next: ApplicationStatus): boolean {
	return Object.entries(next).every(
		([name, value]) => JSON.stringify(before?.[name as keyof ApplicationStatus]) === JSON.stringify(value),
	);
}

function tellCompared(state: ApplicationState, status: ApplicationStatus, stays: string | undefined): void {
	if (!state.progress.listening || !status.sync || !status.health?.status) return;
	const unwell = (status.resources ?? []).filter((each) => each.health && each.health.status !== 'Healthy');
	const isMissing = (each: ResourceStatus) => each.health?.status === 'Missing';
	// What is not there yet waits for the rest, not the other way round.
	const waiting = [...unwell.filter((each) => !isMissing(each)), ...unwell.filter(isMissing)].map((each) => {
		const { status: health, message } = each.health ?? {};
		const name = `${(each.kind ?? '').toLowerCase()}${each.group ? `.${each.group}` : ''}/${each.name}`;
		return `${name}: ${isMissing(each) ? 'not applied yet' : health}${message ? `: ${message}` : ''}`;
	});
	state.progress.tell({
		type: 'compared',
		revision: state.revision,
		sync: status.sync.status,
		health: status.health.status,
		waiting,
		stays,
	});
}

/** Writes parts of the status. */
export async function writeStatus(
	application: Application,
	status: Partial<ApplicationStatus>,
	client: Client,
): Promise<void> {
	const { name, namespace } = application.metadata;
	await client.patch(
		Application,
		{ name, namespace },
		{ type: 'merge', body: { status: mergeTo(pick(application.status, status), status) } },
		{ subresource: 'status' },
	);
}

/** RFC 3339 in seconds, as Kubernetes writes times. */
export function timestamp({ now }: Pick<Context, 'now'>): string {
	return timeOf(now());
}

/** The parts of the stored status that are about to be written. */
function pick(before: ApplicationStatus | undefined, next: Partial<ApplicationStatus>): Fields {
	return Object.fromEntries(Object.keys(next).map((name) => [name, before?.[name as keyof ApplicationStatus]]));
}

/** The merge patch that leaves nothing of `before` that `next` does not have. Source: RFC 7396, null removes. */
function mergeTo(before: unknown, next: unknown): unknown {
	if (!isFields(before) || !isFields(next)) return next;
	const patch: Record<string, unknown> = {};
	for (const name of Object.keys(before)) if (next[name] === undefined) patch[name] = null;
	for (const [name, value] of Object.entries(next)) if (value !== undefined) patch[name] = mergeTo(before[name], value);
	return patch;
}
