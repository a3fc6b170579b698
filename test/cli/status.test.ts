/** What `status` and `diff` say of applications, from their status alone. */
import { stripVTControlCharacters } from 'node:util';
import test from 'ava';
import { diffText, statusText, type Verdict, verdict } from '../../src/cli/status.ts';
import type { Paint } from '../../src/cli/terminal.ts';
import type { Application, ApplicationStatus, Event, ResourceStatus } from '../../src/kinds/index.ts';

const plain: Paint = (_, text) => text;
const tagged: Paint = (style, text) => `<${style}>${text}</>`;
const NOW = Date.parse('2026-01-31T12:00:00Z');
const ago = (seconds: number) => new Date(NOW - seconds * 1000).toISOString();

const application = (status?: ApplicationStatus, metadata: Partial<Application['metadata']> = {}): Application => ({
	apiVersion: 'argoproj.io/v1alpha1',
	kind: 'Application',
	metadata: { name: 'shop', namespace: 'default', uid: 'u1', ...metadata },
	spec: { project: 'default', destination: {}, syncPolicy: { automated: { prune: true, selfHeal: true } } },
	status,
});
const synced: ApplicationStatus = {
	sync: { status: 'Synced', revision: 'abcdef0123456789abcdef0123456789abcdef01' },
	health: { status: 'Healthy' },
};
const web: ResourceStatus = {
	group: 'apps',
	kind: 'Deployment',
	namespace: 'shop',
	name: 'web',
	status: 'Synced',
	health: { status: 'Healthy' },
};
const drifted: ResourceStatus = {
	...web,
	status: 'OutOfSync',
	drift: [
		{
			path: '.spec.replicas',
			live: '5',
			desired: '2',
			manager: 'kubectl-scale',
			time: ago(90),
			origin: { file: 'web.yaml', line: 7, column: 3 },
		},
	],
};
const text = (applications: readonly Application[], healed: readonly Event[] = [], wide = false) =>
	statusText(applications, healed, { paint: plain, wide, now: NOW });
const healing = (seconds: number, more: Partial<Event> = {}): Event => ({
	apiVersion: 'v1',
	kind: 'Event',
	metadata: { name: `e${seconds}`, namespace: 'default' },
	involvedObject: { uid: 'u1' },
	reason: 'SelfHealed',
	message: `deployment.apps/web in shop: mended ${seconds}`,
	lastTimestamp: ago(seconds),
	...more,
});

const homeless = (name: string, namespace = 'later', more: Partial<ResourceStatus> = {}): ResourceStatus => ({
	kind: 'ConfigMap',
	namespace,
	name,
	status: 'OutOfSync',
	health: { status: 'Missing' },
	origin: { file: `${name}.yaml`, line: 1, column: 1 },
	message: `namespaces "${namespace}" not found: put a Namespace of this name into the source`,
	...more,
});

test('objects that lack one namespace are told of once; with -o wide each is', (t) => {
	const resources = [homeless('a'), homeless('b'), homeless('c'), homeless('d', 'other'), drifted];
	const lacking = application({ ...synced, sync: { ...synced.sync, status: 'OutOfSync' }, resources });
	const lines = text([lacking]);
	t.deepEqual(
		lines.filter((line) => line.includes('not found')),
		['later', 'other'].map(
			(each) => `      namespaces "${each}" not found: put a Namespace of this name into the source`,
		),
	);
	t.true(lines.includes('  3 objects in later: missing'), lines.join('\n'));
	t.true(lines.includes('  ConfigMap other/d: missing'));
	t.is(text([lacking], [], true).filter((line) => line.includes('not found')).length, 4);
});

test('of an application that does not count nothing is told that was known before', (t) => {
	const conditions = [{ type: 'InvalidSpecError', message: 'Applications in the namespace team do not count' }];
	const sync = { ...synced.sync, status: 'Unknown' } as const;
	const lines = text([application({ ...synced, sync, conditions, resources: [drifted] })]);
	t.is(lines.length, 3, lines.join('\n'));
	t.regex(lines[2] ?? '', /do not count/);
});

const verdicts: readonly [string, readonly Application[], Verdict][] = [
	['no applications are in sync', [], 0],
	['one in sync is in sync', [application(synced)], 0],
	['one that drifted is drift', [application(synced), application({ sync: { status: 'OutOfSync' } })], 1],
	['an unhealthy one that is in sync is in sync', [application({ ...synced, health: { status: 'Degraded' } })], 0],
	['one of which nothing is known yet is an error', [application()], 2],
	['one that cannot be compared is an error', [application({ sync: { status: 'Unknown' } })], 2],
	['an error outweighs drift', [application({ sync: { status: 'OutOfSync' } }), application()], 2],
	[
		'a condition is an error, whatever the comparison says',
		[application({ ...synced, conditions: [{ type: 'ComparisonError', message: 'x' }] })],
		2,
	],
	[
		'a warning is no error',
		[application({ ...synced, conditions: [{ type: 'SharedResourceWarning', message: 'x' }] })],
		0,
	],
];
for (const [title, applications, expected] of verdicts) {
	test(`verdict: ${title}`, (t) => t.is(verdict(applications), expected));
}

test('without applications, status says how to get one', (t) => {
	t.regex(text([]).join('\n'), /no applications; .*driftless remote/);
});

test('each application is a line under a header, with its revision, states, objects and last sync', (t) => {
	const [header = '', line = ''] = text([
		application({
			...synced,
			resources: [web],
			operationState: { operation: {}, phase: 'Succeeded', startedAt: ago(70), finishedAt: ago(60) },
		}),
	]);
	t.deepEqual(header.split(/ {2,}/), ['APPLICATION', 'REVISION', 'SYNC', 'HEALTH', 'OBJECTS', 'LAST SYNC']);
	t.deepEqual(line.split(/ {2,}/), ['shop', 'abcdef0', 'Synced', 'Healthy', '1', 'Succeeded 60s ago']);
});

test('an application outside the namespace default is named with its own, and one without status is unknown', (t) => {
	t.deepEqual(text([application(undefined, { namespace: 'team' })])[1]?.split(/ {2,}/), [
		'team/shop',
		'-',
		'Unknown',
		'Unknown',
		'0',
		'-',
	]);
});

test('an attempt of a sync that has failed is told while the next one is waited for', (t) => {
	const operationState = { operation: {}, phase: 'Running' as const, startedAt: ago(70), message: 'syncing' };
	const lines = (more: object) => text([application({ ...synced, operationState: { ...operationState, ...more } })]);
	t.is(lines({}).length, 2);
	const message = 'refused. Retrying attempt #1 at 12:00:00 UTC.';
	t.deepEqual(lines({ finishedAt: ago(60), message, retryCount: 1 }).slice(2), [`  ! last sync: ${message}`]);
});

test('why an object is missing is told with it', (t) => {
	const message = 'namespaces "shop" not found: put a Namespace of this name into the source';
	const missing: ResourceStatus = { ...web, status: 'OutOfSync', health: { status: 'Missing' }, message };
	const shop = application({ ...synced, sync: { status: 'OutOfSync' }, resources: [missing] });
	t.deepEqual(text([shop]).slice(2), ['  Deployment.apps shop/web: missing', `      ${message}`]);
	t.deepEqual(diffText(shop, plain), [
		'Deployment.apps shop/web',
		'+ not in the cluster: the next sync creates it',
		`  ! ${message}`,
	]);
});

test('an object in sync is shown with -o wide only', (t) => {
	const shop = application({ ...synced, resources: [web] });
	t.is(text([shop]).length, 2);
	t.deepEqual(text([shop], [], true).slice(2), ['  Deployment.apps shop/web: in sync, Healthy']);
});

test('a drifted object names each field with both values, who set it, when, and where it is written', (t) => {
	const shop = application({ ...synced, sync: { status: 'OutOfSync' }, resources: [drifted] });
	t.deepEqual(text([shop]).slice(2), [
		'  Deployment.apps shop/web: drifted, Healthy',
		'      .spec.replicas: 5 live, 2 desired, set by kubectl-scale 90s ago (web.yaml:7:3)',
	]);
});

const resources: readonly [string, ResourceStatus, readonly string[]][] = [
	[
		'a side without the field is none',
		{
			...drifted,
			drift: [
				{ path: '.a', desired: '1' },
				{ path: '.b', live: '2' },
			],
		},
		[
			'  Deployment.apps shop/web: drifted, Healthy',
			'      .a: (none) live, 1 desired',
			'      .b: 2 live, (none) desired',
		],
	],
	[
		'a missing object says where it is written',
		{ ...web, status: 'OutOfSync', health: { status: 'Missing' }, origin: { file: 'web.yaml', line: 1, column: 1 } },
		['  Deployment.apps shop/web: missing', '      written at (web.yaml:1:1)'],
	],
	[
		'an object that left the source is to be pruned',
		{ ...web, status: 'OutOfSync', requiresPruning: true },
		['  Deployment.apps shop/web: no longer in the source, to be pruned, Healthy'],
	],
	[
		'an object that is being pruned is leaving',
		{
			...web,
			status: 'OutOfSync',
			requiresPruning: true,
			health: { status: 'Progressing', message: 'Pending deletion' },
		},
		['  Deployment.apps shop/web: no longer in the source, being deleted'],
	],
	[
		'of long values what differs is shown',
		{ ...drifted, drift: [{ path: '.a', live: `"${'x'.repeat(500)}is"`, desired: `"${'x'.repeat(500)}was"` }] },
		[
			'  Deployment.apps shop/web: drifted, Healthy',
			`      .a: …${'x'.repeat(15)}is" live, …${'x'.repeat(15)}was" desired`,
		],
	],
	[
		'fields that the status does not list are counted',
		{ ...drifted, drift: [{ path: '.a', live: '1' }], driftedFields: 30 },
		['  Deployment.apps shop/web: drifted, Healthy', '      .a: 1 live, (none) desired', '      and 29 more fields'],
	],
	[
		'an unhealthy object in sync says why',
		{ ...web, health: { status: 'Degraded', message: 'image not found' } },
		['  Deployment.apps shop/web: in sync, Degraded (image not found)'],
	],
	[
		'a refused object says why the API refuses it',
		{ ...web, status: 'OutOfSync', message: 'spec.replicas: Invalid value' },
		['  Deployment.apps shop/web: drifted, Healthy', '      spec.replicas: Invalid value'],
	],
	[
		'an object of the core group without a namespace has neither',
		{ kind: 'Namespace', name: 'shop', status: 'OutOfSync' },
		['  Namespace shop: drifted'],
	],
];
for (const [title, resource, expected] of resources) {
	test(`status: ${title}`, (t) => {
		t.deepEqual(text([application({ sync: { status: 'OutOfSync' }, resources: [resource] })]).slice(2), expected);
	});
}

test('status says why nothing comes into sync by itself, and what to type', (t) => {
	const gone: ResourceStatus = { ...web, status: 'OutOfSync', requiresPruning: true };
	const last = (automated: object | undefined, of: ApplicationStatus, namespace = 'default') =>
		text([
			{ ...application(of, { namespace }), spec: { destination: {}, syncPolicy: { automated } } } as Application,
		]).at(-1);
	const outOfSync: ApplicationStatus = { sync: { status: 'OutOfSync' }, resources: [gone] };
	const off = '  automated sync is off; to apply what the source says: driftless sync shop';
	t.is(last(undefined, outOfSync), off);
	t.is(last({ enabled: false, prune: true }, outOfSync), off);
	t.is(
		last({}, outOfSync, 'argocd'),
		'  what left the source is kept; to delete it: driftless sync argocd/shop --prune',
	);
	const pruned = '  Deployment.apps shop/web: no longer in the source, to be pruned, Healthy';
	t.is(last({ prune: true }, outOfSync), pruned, 'it is on its way');
	const running = { operation: {}, phase: 'Running', startedAt: ago(5) } as const;
	t.is(last(undefined, { ...outOfSync, operationState: running }), pruned, 'somebody has asked');
	t.regex(last(undefined, synced) ?? '', /^shop /);
});

test('conditions and a failed sync stand first', (t) => {
	const shop = application({
		sync: { status: 'Unknown' },
		conditions: [{ type: 'ComparisonError', message: 'the remote is down' }],
		operationState: { operation: {}, phase: 'Failed', startedAt: ago(5), message: 'refused' },
		resources: [drifted],
	});
	t.deepEqual(text([shop]).slice(2, 4), ['  ! the remote is down', '  ! last sync: refused']);
});

test('a dry run is no sync', (t) => {
	const dry = { operation: { sync: { dryRun: true } }, phase: 'Failed', startedAt: ago(5), message: 'no' } as const;
	const history = [{ id: 0, revision: 'a', deployedAt: ago(60) }];
	t.deepEqual(text([application({ ...synced, operationState: dry, history })]).slice(1), [
		'shop          abcdef0    Synced   Healthy   0         Succeeded 60s ago',
	]);
});

test('the last five healings of the application are told, newest first, and those of others are not', (t) => {
	const events = [1, 5, 2, 4, 3, 6].map((seconds) => healing(seconds, seconds === 1 ? { count: 3 } : {}));
	const other = healing(0, { involvedObject: { uid: 'other' } });
	const lines = text([application({ ...synced, resources: [web] })], [...events, other]).slice(2);
	t.deepEqual(lines, [
		'  ✓ healed 1s ago (3 times): deployment.apps/web in shop: mended 1',
		'  ✓ healed 2s ago: deployment.apps/web in shop: mended 2',
		'  ✓ healed 3s ago: deployment.apps/web in shop: mended 3',
		'  ✓ healed 4s ago: deployment.apps/web in shop: mended 4',
		'  ✓ healed 5s ago: deployment.apps/web in shop: mended 5',
	]);
});

test('healings of an object that has left the source are told no more', (t) => {
	const node = { group: '', kind: 'Node', name: 'one', status: 'Synced' } as const;
	const gone = healing(1, { message: 'configmap/page in shop: was missing' });
	const events = [gone, healing(2), healing(3, { message: 'node/one: .spec.unschedulable true to (none)' })];
	t.deepEqual(text([application({ ...synced, resources: [web, node] })], events).slice(2), [
		'  ✓ healed 2s ago: deployment.apps/web in shop: mended 2',
		'  ✓ healed 3s ago: node/one: .spec.unschedulable true to (none)',
	]);
	const more = application({ ...synced, resources: [web], resourcesLeftOut: 1 });
	t.is(text([more], events).filter((line) => /healed/.test(line)).length, 3, 'what is not listed may be there');
});

test('colours do not move columns', (t) => {
	const shops = [
		application(synced),
		application({ sync: { status: 'OutOfSync' }, health: { status: 'Degraded' } }, { name: 'b' }),
	];
	const escaped: Paint = (_, content) => `\u001b[31m${content}\u001b[39m`;
	const bare = statusText(shops, [], { paint: escaped, wide: false, now: NOW }).map((line) =>
		stripVTControlCharacters(line),
	);
	t.deepEqual(bare, text(shops));
});

const diffs: readonly [string, ResourceStatus, readonly string[]][] = [
	['an object in sync has no difference', web, []],
	[
		'a drifted field is two lines, the desired one with its place',
		drifted,
		['Deployment.apps shop/web', '  .spec.replicas  (set by kubectl-scale)', '  - 5', '  + 2 (web.yaml:7:3)'],
	],
	[
		'a field that one side has is one line',
		{
			...drifted,
			drift: [
				{ path: '.a', desired: '1' },
				{ path: '.b', live: '2' },
			],
		},
		['Deployment.apps shop/web', '  .a', '  + 1', '  .b', '  - 2'],
	],
	[
		'a missing object will be created, from where it is written',
		{ ...web, status: 'OutOfSync', health: { status: 'Missing' }, origin: { file: 'web.yaml', line: 4, column: 1 } },
		['Deployment.apps shop/web', '+ not in the cluster: the next sync creates it from web.yaml:4:1'],
	],
	[
		'an object that left the source will be deleted',
		{ ...web, status: 'OutOfSync', requiresPruning: true },
		['Deployment.apps shop/web', '- no longer in the source: the next sync with prune deletes it'],
	],
	['a refused object says why', { ...web, status: 'OutOfSync', message: 'no' }, ['Deployment.apps shop/web', '  ! no']],
];
for (const [title, resource, expected] of diffs) {
	test(`diff: ${title}`, (t) => t.deepEqual(diffText(application({ resources: [resource] }), plain), expected));
}

test('diff: live is red, desired is green', (t) => {
	const lines = diffText(application({ resources: [drifted] }), tagged);
	t.is(lines[2], '<red>  - 5</>');
	t.true(lines[3]?.startsWith('<green>  + 2</>'));
});
