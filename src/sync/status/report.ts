/** An application's status in Argo CD's shape, from what was compared. Pure. */
import { excerpts } from '../../diff/excerpt.ts';
import { byHand, type FieldDrift, indexesInto, ownershipOf } from '../../diff/index.ts';
import { formatPath } from '../../kinds/fieldset.ts';
import {
	type Application,
	type ApplicationCondition,
	type ApplicationHealth,
	type ApplicationStatus,
	type Dynamic,
	type HealthStatus,
	parseApiVersion,
	type ReportedDrift,
	type ReportedOrigin,
	type ResourceStatus,
	type SourceType,
	type SyncStatusCode,
} from '../../kinds/index.ts';
import { type Compared, isSynced } from '../compare/compare.ts';
import { policyTrouble } from '../compare/trouble.ts';
import { waveOf } from '../operation/order.ts';
import type { Position } from '../render/index.ts';
import { isListed, type Revision, recordOf, shownSource } from '../revision.ts';
import { managerOf } from '../want/desired.ts';
import { optionFor } from '../want/options.ts';
import { cut, fitting } from './fit.ts';

/** Bytes of JSON that status.resources takes at most, those that want attention first: half of what an object may hold. */
export const MAX_RESOURCES_BYTES = 700_000;
/** Of these for drifted fields: so many that the resources themselves keep their place. */
export const MAX_DRIFT_BYTES = 300_000;
/** The same of conditions and of images. */
export const MAX_CONDITIONS_BYTES = 100_000;
export const MAX_IMAGES_BYTES = 50_000;
/** Fields that a status lists for one drifted resource, and resources that it lists fields for. */
export const MAX_DRIFT_FIELDS = 20;
export const MAX_DRIFT_RESOURCES = 100;
/** Characters of JSON that a status shows of one value; of longer ones what is around the first difference. */
export const MAX_DRIFT_VALUE = 1_024;

export interface Observed {
	readonly objects: ReadonlyMap<string, Compared>;
	readonly revision: Revision | undefined;
	/** What is wrong, by condition type; the time at which it began is kept from the status before. */
	readonly problems: readonly { readonly type: string; readonly message: string }[];
	/** Whether `objects` says what the source wants; false while it cannot be read. */
	readonly known: boolean;
	/** How each source is rendered. */
	readonly sourceTypes: readonly SourceType[];
	/** What is known beyond its own health of why an object does not work. */
	readonly trouble?: (live: Dynamic) => string | undefined;
	/** Why objects cannot be made, by id: their namespace is not there. */
	readonly homeless?: ReadonlyMap<string, { readonly message: string }>;
	/** When what has drifted is mended, in ms, where that waits. */
	readonly healAt?: number;
}

/** Worse comes later. Source: Argo CD, "Resource Health", of an application. */
const severity: readonly HealthStatus[] = ['Healthy', 'Suspended', 'Progressing', 'Missing', 'Degraded', 'Unknown'];

/** The worst of the resources' health; an application without any is healthy. */
export function worst(healths: Iterable<HealthStatus>): HealthStatus {
	let level = 0;
	for (const health of healths) level = Math.max(level, severity.indexOf(health));
	return severity[level] ?? 'Unknown';
}

/** The parts of the status that follow from the comparison; operationState and history stay as they are. */
export function report(application: Application, observed: Observed, now: string): ApplicationStatus {
	const before = application.status;
	const all = [...observed.objects.values()];
	const { revision, healAt } = observed;
	const health = revision !== undefined ? healthOf(application, all) : 'Unknown';
	const { spec } = application;
	const listed = isListed(application);
	const resourcesNow = revision && resources(application, all, observed, now);
	return {
		sync: {
			status: syncStatus(observed),
			...(revision ? commits(revision) : { revision: before?.sync?.revision, revisions: before?.sync?.revisions }),
			comparedTo: {
				...(listed ? { sources: spec.sources?.map(shownSource) } : { source: spec.source && shownSource(spec.source) }),
				destination: spec.destination,
			},
		},
		health: transition({ status: health }, before?.health, now),
		// What is not wanted can only be told by what is.
		resources: resourcesNow ? resourcesNow.kept : before?.resources,
		resourcesLeftOut: resourcesNow ? resourcesNow.leftOut || undefined : before?.resourcesLeftOut,
		conditions: conditions(observed.problems, before?.conditions ?? [], now),
		...(listed
			? { sourceType: undefined, sourceTypes: [...observed.sourceTypes] }
			: { sourceType: observed.sourceTypes[0], sourceTypes: undefined }),
		summary: { images: fitting(images(all), MAX_IMAGES_BYTES).kept },
		selfHealAt: healAt === undefined ? undefined : new Date(healAt).toISOString().replace(/\.\d+Z$/, 'Z'),
	};
}

/** The annotation of an object whose health is not to count. */
const ignoreHealthAnnotation = 'argocd.argoproj.io/ignore-healthcheck';

/** The health of an application from that of its objects. Source: Argo CD, "Resource Health", and how its controller sums up. */
function healthOf(application: Application, all: readonly Compared[]): HealthStatus {
	const counted = all.filter(
		({ live, desired }) =>
			(live ?? desired?.object)?.metadata.annotations?.[ignoreHealthAnnotation] !== 'true' &&
			!(live && isItself(application, live)),
	);
	const healths = counted.flatMap(({ health, desired, live }): HealthStatus[] => {
		if (!health) return [];
		// Of what has no health a missing one says nothing about it; and a child tells its own story.
		if (health.status === 'Missing' && !desired?.kind.assessed) return [];
		const child = isApplication(live ?? desired?.object);
		return child && (health.status === 'Missing' || health.status === 'Unknown') ? [] : [health.status];
	});
	return worst(counted.length > 0 && counted.every(({ live }) => !live) ? [...healths, 'Missing'] : healths);
}

const isApplication = (object: Dynamic | undefined) =>
	object?.kind === 'Application' && parseApiVersion(object.apiVersion).group === 'argoproj.io';

/** An application may be among its own objects. */
const isItself = ({ metadata }: Application, live: Dynamic) =>
	isApplication(live) && live.metadata.name === metadata.name && live.metadata.namespace === metadata.namespace;

function syncStatus({ known, objects }: Observed): SyncStatusCode {
	if (!known) return 'Unknown';
	for (const each of objects.values()) if (!isSynced(each)) return 'OutOfSync';
	return 'Synced';
}

function transition(health: ApplicationHealth, before: ApplicationHealth | undefined, now: string): ApplicationHealth {
	return {
		...health,
		lastTransitionTime: before?.status === health.status ? (before?.lastTransitionTime ?? now) : now,
	};
}

const commits = (of: Revision) => {
	const { revision, revisions } = recordOf(of);
	return revisions ? { revisions } : { revision };
};

function resources(
	application: Application,
	all: readonly Compared[],
	{ trouble, homeless }: Observed,
	now: string,
): { readonly kept: ResourceStatus[]; readonly leftOut: number } {
	const attention = (each: Compared) => (!isSynced(each) ? 0 : each.health && each.health.status !== 'Healthy' ? 1 : 2);
	const ordered = [...all].sort((a, b) => attention(a) - attention(b));
	const healthBefore = new Map(application.status?.resources?.map((each) => [resourceKey(each), each.health]));
	const by = { options: application.spec.syncPolicy?.syncOptions, manager: managerOf(application), trouble, homeless };
	let detailed = 0;
	let room = MAX_DRIFT_BYTES;
	const statuses = ordered.map((each) => {
		const status = resourceStatus(each, room > 0 && detailed < MAX_DRIFT_RESOURCES, by);
		if (status.drift) {
			detailed++;
			room -= Buffer.byteLength(JSON.stringify(status.drift));
		}
		if (status.health) status.health = transition(status.health, healthBefore.get(resourceKey(status)), now);
		return status;
	});
	const { kept, leftOut } = fitting(statuses, MAX_RESOURCES_BYTES);
	return { kept: kept.sort((a, b) => (resourceKey(a) < resourceKey(b) ? -1 : 1)), leftOut };
}

const resourceKey = ({ group, kind, namespace, name }: ResourceStatus) =>
	`${group ?? ''}/${kind}/${namespace ?? ''}/${name}`;

interface ReportedBy {
	/** The sync options of the application. */
	readonly options: readonly string[] | undefined;
	/** Its field manager. */
	readonly manager: string;
	readonly trouble: Observed['trouble'];
	readonly homeless: Observed['homeless'];
}

function resourceStatus(
	compared: Compared,
	detail: boolean,
	{ options, manager, trouble, homeless }: ReportedBy,
): ResourceStatus {
	const object = compared.desired?.object ?? compared.live;
	if (!object) throw new TypeError(`${compared.id} is neither wanted nor live`);
	const { group, version } = parseApiVersion(object.apiVersion);
	const status: ResourceStatus = {
		...(group ? { group } : {}),
		version,
		kind: object.kind,
		...(object.metadata.namespace ? { namespace: object.metadata.namespace } : {}),
		name: object.metadata.name,
		status: isSynced(compared) ? 'Synced' : 'OutOfSync',
	};
	const wave = waveOf(object);
	if (wave !== 0) status.syncWave = wave;
	if (compared.health) {
		const { status: health, message } = compared.health;
		const unwell = health === 'Progressing' || health === 'Degraded';
		const below = unwell && compared.live ? trouble?.(compared.live) : undefined;
		const why = below === message ? undefined : below;
		const whole = [message?.replace(/\.\.\.$/, why ? '' : '...'), why].filter(Boolean).join(': ');
		status.health = whole ? { status: health, message: cut(whole) } : { status: health };
	}
	if (!compared.desired) {
		status.requiresPruning = true;
		if (optionFor(object, 'Prune', options) === 'false') status.message = 'kept by the sync option Prune=false';
	}
	if (compared.desired && compared.live) {
		const unmanaged = byHand(ownershipOf(compared.live), manager);
		if (unmanaged.length > 0) status.unmanaged = unmanaged;
	}
	if (compared.desired) {
		if (compared.drift.state === 'missing') status.origin = originOf(compared.desired.manifest.position);
		if (compared.drift.state === 'changed') {
			const { fields } = compared.drift;
			const listed = detail ? fields.slice(0, MAX_DRIFT_FIELDS) : [];
			if (detail) status.drift = listed.map((field) => reportField(field, compared));
			if (listed.length < fields.length) status.driftedFields = fields.length;
		}
	}
	const odd = compared.live && policyTrouble(compared.live);
	if (odd && !status.message) status.message = cut(odd);
	const refusal = compared.refused ?? homeless?.get(compared.id);
	if (refusal) status.message = cut(refusal.message);
	return status;
}

/** Whether a field of a Secret holds what must not be shown: all but its metadata, where `kubectl apply` keeps a copy of the rest. */
function isSecret(path: FieldDrift['path']): boolean {
	const names = path.map((step) => ('field' in step ? step.field : undefined));
	return names[0] !== 'metadata' || names[2] === 'kubectl.kubernetes.io/last-applied-configuration';
}

/** One drifted field as the status shows it. Values of Secrets are never shown. */
export function reportField(field: FieldDrift, { desired }: Compared): ReportedDrift {
	const secret = desired?.object.kind === 'Secret' && desired.kind.group === '' && isSecret(field.path);
	const json = (side: unknown) =>
		side === undefined ? undefined : secret ? '(hidden)' : (JSON.stringify(side) ?? 'null');
	const [live, wanted] = excerpts(json(field.live), json(field.desired), MAX_DRIFT_VALUE);
	const owner = [...field.owners].sort((a, b) => (b.time ?? '').localeCompare(a.time ?? ''))[0];
	const origin =
		desired && field.desired !== undefined
			? desired.manifest.locate(indexesInto(desired.manifest.object, field.path))
			: desired?.manifest.position;
	return {
		path: formatPath(field.path),
		...(live === undefined ? {} : { live }),
		...(wanted === undefined ? {} : { desired: wanted }),
		...(owner ? { manager: owner.manager, time: owner.time } : {}),
		...(origin ? { origin: originOf(origin) } : {}),
	};
}

const originOf = ({ source, file, line, column }: Position): ReportedOrigin => ({
	...(source === undefined ? {} : { source }),
	file,
	line,
	column,
});

function conditions(
	problems: Observed['problems'],
	before: readonly ApplicationCondition[],
	now: string,
): ApplicationCondition[] {
	const cutShort = problems.map(({ type, message }) => ({ type, message: cut(message) }));
	return fitting(cutShort, MAX_CONDITIONS_BYTES).kept.map(({ type, message }) => {
		const same = before.find((each) => each.type === type && each.message === message);
		return { type, message, lastTransitionTime: same?.lastTransitionTime ?? now };
	});
}

function images(all: readonly Compared[]): string[] {
	const found = new Set<string>();
	for (const { desired } of all) {
		const pod = desired && podSpec(desired.object);
		for (const list of [pod?.containers, pod?.initContainers])
			for (const container of list ?? []) if (typeof container?.image === 'string') found.add(container.image);
	}
	return [...found].sort();
}

interface PodSpecLike {
	readonly containers?: readonly { readonly image?: unknown }[];
	readonly initContainers?: readonly { readonly image?: unknown }[];
}

function podSpec(object: Dynamic): PodSpecLike | undefined {
	const spec = object.spec as ({ template?: { spec?: PodSpecLike } } & PodSpecLike) | undefined;
	return object.kind === 'Pod' ? spec : spec?.template?.spec;
}
