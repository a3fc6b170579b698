import test from 'ava';
import {
	type Application,
	Application as ApplicationKind,
	ConfigMap,
	type Dynamic,
	type Kind,
	Secret,
	Service,
} from '../../src/kinds/index.ts';
import type { Compared } from '../../src/sync/compare/compare.ts';
import { MAX_DRIFT_FIELDS, MAX_DRIFT_VALUE, report, worst } from '../../src/sync/status/report.ts';

const application: Application = {
	apiVersion: 'argoproj.io/v1alpha1',
	kind: 'Application',
	metadata: { name: 'default', namespace: 'default' },
	spec: { project: 'default', destination: {}, source: { repoURL: 'x' } },
};
const now = '2026-01-01T00:00:00Z';
const revision = { sources: [{ source: { repoURL: 'x' }, commit: 'r1' }], destination: {} };
const position = { file: 'a.yaml', line: 3, column: 1 };
const compared = (kind: Kind<Dynamic>, name: string, change: Partial<Compared>): Compared => {
	const object: Dynamic = { apiVersion: 'v1', kind: kind.kind, metadata: { name, namespace: 'default' } };
	const manifest = { object, hash: '1', file: 'a.yaml', position, locate: () => ({ ...position, line: 7 }) };
	return {
		id: name,
		desired: { id: name, kind, key: `default/${name}`, object, manifest },
		live: object,
		drift: { state: 'synced' },
		health: undefined,
		...change,
	};
};
const configMap = (name: string, change: Partial<Compared> = {}) =>
	compared(ConfigMap as unknown as Kind<Dynamic>, name, change);
const drifted = (path: string, live: unknown, desired: unknown): Partial<Compared> => ({
	drift: {
		state: 'changed',
		fields: [
			{
				path: [{ field: 'data' }, { field: path }],
				live,
				desired,
				owners: [{ manager: 'ada', operation: 'Update', time: now }],
			},
		],
	},
});
const status = (objects: readonly Compared[], more: Partial<Parameters<typeof report>[1]> = {}) =>
	report(
		application,
		{
			objects: new Map(objects.map((each) => [each.id, each])),
			revision,
			problems: [],
			known: true,
			sourceTypes: ['Directory'],
			...more,
		},
		now,
	);

test('an application is in sync when every object is, and as healthy as its worst object', (t) => {
	t.like(status([configMap('a'), configMap('b', { health: { status: 'Healthy' } })]), {
		sync: { status: 'Synced', revision: 'r1' },
		health: { status: 'Healthy' },
	});
	t.is(
		status([configMap('a'), configMap('b', { drift: { state: 'missing' }, health: { status: 'Missing' } })]).sync
			?.status,
		'OutOfSync',
	);
	t.is(
		status([configMap('a', { health: { status: 'Progressing' } }), configMap('b', { health: { status: 'Degraded' } })])
			.health?.status,
		'Degraded',
	);
	t.is(worst([]), 'Healthy');
	t.is(worst(['Suspended', 'Progressing', 'Healthy']), 'Progressing');
});

const missing: Partial<Compared> = { live: undefined, drift: { state: 'missing' }, health: { status: 'Missing' } };
const of = (kind: unknown, name: string, change: Partial<Compared> = {}) =>
	compared(kind as Kind<Dynamic>, name, change);
const unwell = (annotations: Record<string, string>): Compared => {
	const each = of(Service, 's', { health: { status: 'Degraded' } });
	return { ...each, live: { apiVersion: 'v1', kind: 'Service', metadata: { name: 's', annotations } } };
};
const child = (name: string, change: Partial<Compared>): Compared => ({
	...of(ApplicationKind, name, change),
	live: { apiVersion: 'argoproj.io/v1alpha1', kind: 'Application', metadata: { name, namespace: 'default' } },
	...change,
});
const sums: readonly [string, readonly Compared[], string][] = [
	['a missing object of a kind without health says nothing', [configMap('a'), configMap('b', missing)], 'Healthy'],
	['a missing object of a kind with health is missed', [configMap('a'), of(Service, 's', missing)], 'Missing'],
	['where nothing is there all is missing', [configMap('a', missing)], 'Missing'],
	['an annotation takes an object out', [unwell({ 'argocd.argoproj.io/ignore-healthcheck': 'true' })], 'Healthy'],
	['another value of it does not', [unwell({ 'argocd.argoproj.io/ignore-healthcheck': 'no' })], 'Degraded'],
	['a child that is unwell counts', [child('c', { health: { status: 'Degraded' } })], 'Degraded'],
	['a child of which nothing is known does not', [child('c', { health: { status: 'Unknown' } })], 'Healthy'],
	['an application is not its own child', [child('default', { health: { status: 'Degraded' } })], 'Healthy'],
	[
		'what is on its way out counts',
		[configMap('a'), of(Service, 's', { desired: undefined, health: { status: 'Progressing' } })],
		'Progressing',
	],
];
for (const [title, objects, expected] of sums)
	test(`health: ${title}`, (t) => t.is(status(objects).health?.status, expected as never));

test('while the source cannot be read, nothing is claimed', (t) => {
	const unread = status([], {
		known: false,
		revision: undefined,
		problems: [{ type: 'ComparisonError', message: 'down' }],
	});
	t.like(unread, { sync: { status: 'Unknown' }, health: { status: 'Unknown' } });
	t.deepEqual(unread.conditions, [{ type: 'ComparisonError', message: 'down', lastTransitionTime: now }]);
});

test('a drifted field tells both values, who set it and where it is written', (t) => {
	const [resource] = status([configMap('a', drifted('x', 'is', 'should be'))]).resources ?? [];
	t.deepEqual(resource?.drift, [
		{
			path: '.data.x',
			live: '"is"',
			desired: '"should be"',
			manager: 'ada',
			time: now,
			origin: { file: 'a.yaml', line: 7, column: 1 },
		},
	]);
});

test('values of a Secret are never shown', (t) => {
	const [resource] =
		status([compared(Secret as unknown as Kind<Dynamic>, 's', drifted('password', 'aG9yc2U=', 'YmF0dGVyeQ=='))])
			.resources ?? [];
	t.like(resource?.drift?.[0], { path: '.data.password', live: '(hidden)', desired: '(hidden)' });
	t.notRegex(JSON.stringify(resource), /aG9yc2U|YmF0dGVyeQ/);
	const note = 'kubectl.kubernetes.io/last-applied-configuration';
	const copy = drifted('x', '{"data":{"password":"aG9yc2U="}}', undefined);
	if (copy.drift?.state !== 'changed') throw new TypeError();
	const path = [{ field: 'metadata' }, { field: 'annotations' }, { field: note }];
	const [first] = copy.drift.fields;
	const fields = first ? [{ ...first, path }] : [];
	t.notRegex(JSON.stringify(status([of(Secret, 's', { drift: { ...copy.drift, fields } })])), /aG9yc2U/);
});

test('long values and many fields are cut', (t) => {
	const [field] = (configMap('a', drifted('x', 'y'.repeat(5_000), 'z')).drift as { fields: readonly object[] }).fields;
	const many = {
		state: 'changed',
		fields: Array.from({ length: 100 }, () => field),
	} as unknown as Compared['drift'];
	const [resource] = status([configMap('a', { drift: many })]).resources ?? [];
	t.is(resource?.drift?.length, MAX_DRIFT_FIELDS);
	t.is(resource?.driftedFields, 100);
	t.true((resource?.drift?.[0]?.live?.length ?? 0) <= MAX_DRIFT_VALUE + 1);
	const long = 'y'.repeat(5_000);
	const [late] = status([configMap('a', drifted('x', `${long}is`, `${long}should be`))]).resources ?? [];
	t.regex(late?.drift?.[0]?.live ?? '', /^….*yyis"$/, 'what differs is shown, however late it comes');
	t.regex(late?.drift?.[0]?.desired ?? '', /yyshould be"$/);
});

test('the status fits into an object, however much there is to tell, and says how much it leaves out', (t) => {
	const long = 'y'.repeat(5_000);
	const [field] = (configMap('a', drifted('x', long, 'z')).drift as { fields: readonly object[] }).fields;
	const fields = Array.from({ length: 100 }, () => field);
	const drift = { state: 'changed', fields } as unknown as Compared['drift'];
	const objects = Array.from({ length: 20_000 }, (_, index) =>
		configMap(
			`object-${index}`,
			index < 200 ? { drift } : { health: { status: 'Degraded', message: long.repeat(20) } },
		),
	);
	const problems = Array.from({ length: 50 }, () => ({ type: 'SyncError', message: long.repeat(20) }));
	const full = status(objects, { problems });
	t.true(Buffer.byteLength(JSON.stringify(full)) < 1_000_000);
	t.is((full.resources?.length ?? 0) + (full.resourcesLeftOut ?? 0), 20_000);
	t.true(
		(full.resources?.filter(({ status }) => status === 'OutOfSync').length ?? 0) === 200,
		'what has drifted comes first',
	);
	t.is(status([configMap('a')]).resourcesLeftOut, undefined);
});

test('what people have set beside the source is counted by their tools', (t) => {
	const fieldsV1 = { 'f:data': { '.': {}, 'f:more': {}, 'f:again': {} } };
	const entry = (manager: string) => ({
		manager,
		operation: 'Update' as const,
		fieldsType: 'FieldsV1' as const,
		fieldsV1,
	});
	const live = {
		apiVersion: 'v1',
		kind: 'ConfigMap',
		metadata: { name: 'a', namespace: 'default', managedFields: [entry('kubectl-edit'), entry('some-controller')] },
	};
	t.deepEqual(status([configMap('a', { live })]).resources?.[0]?.unmanaged, [{ manager: 'kubectl-edit', fields: 2 }]);
	t.is(status([configMap('a')]).resources?.[0]?.unmanaged, undefined);
});

test('an object that left the source is to be pruned, and a condition keeps the time at which it began', (t) => {
	const gone: Compared = {
		id: 'g',
		live: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'g', namespace: 'default' } },
		drift: { state: 'synced' },
		health: undefined,
	};
	t.like(status([gone]).resources?.[0], { name: 'g', status: 'OutOfSync', requiresPruning: true, message: undefined });
	const annotations = { 'argocd.argoproj.io/sync-options': 'Prune=false' };
	const kept = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'g', namespace: 'default', annotations } };
	t.is(status([{ ...gone, live: kept }]).resources?.[0]?.message, 'kept by the sync option Prune=false');
	const earlier = {
		...application,
		status: { conditions: [{ type: 'SyncError', message: 'm', lastTransitionTime: '2025-01-01T00:00:00Z' }] },
	};
	const after = report(
		earlier,
		{
			objects: new Map(),
			revision,
			problems: [{ type: 'SyncError', message: 'm' }],
			known: true,
			sourceTypes: ['Directory'],
		},
		now,
	);
	t.is(after.conditions?.[0]?.lastTransitionTime, '2025-01-01T00:00:00Z');
});
