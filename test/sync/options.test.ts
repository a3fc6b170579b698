/** What an Application and its objects may ask for, and how far a sync may go: the rules alone. */
import test from 'ava';
import type { Application, ApplicationSpec, Dynamic, Kind, Operation } from '../../src/kinds/index.ts';
import { selection } from '../../src/sync/operation/selection.ts';
import { type Leaving, nextStage, type Stage, type Staged } from '../../src/sync/operation/stage.ts';
import { type Desired, idOf } from '../../src/sync/want/desired.ts';
import { objectOptionProblems, optionFor, optionOf, optionProblem } from '../../src/sync/want/options.ts';
import { unsupported, unsupportedOperation } from '../../src/sync/want/unsupported.ts';

const object = (name: string, annotations: Record<string, string> = {}, kind = 'ConfigMap'): Dynamic => ({
	apiVersion: 'v1',
	kind,
	metadata: { name, namespace: 'shop', annotations },
});
const wave = (number: number) => ({ 'argocd.argoproj.io/sync-wave': String(number) });
const options = (text: string) => ({ 'argocd.argoproj.io/sync-options': text });

for (const option of [
	'CreateNamespace=true',
	'PruneLast=true',
	'ServerSideApply=true',
	'ServerSideApply=false',
	'ApplyOutOfSyncOnly=true',
	'RespectIgnoreDifferences=true',
	'SkipDryRunOnMissingResource=true',
	'FailOnSharedResource=true',
	'ClientSideApplyMigration=false',
	'Validate=false',
	'Prune=false',
	'Delete=false',
	'Replace=false',
	'Force=true',
	'PrunePropagationPolicy=background',
])
	test(`the sync option ${option} is carried out`, (t) => t.is(optionProblem(option), undefined));

const refused: readonly [string, RegExp][] = [
	['Replace=true', /^the sync option Replace=true is not supported; .*Force=true makes anew what cannot be changed/],
	['Prune=confirm', /^the sync option Prune=confirm is not supported; /],
	['Delete=confirm', /^the sync option Delete=confirm is not supported; /],
	['PrunePropagationPolicy=later', /takes one of foreground, background, orphan, not "later"$/],
	['CreateNamespace', /takes one of true, false, not ""$/],
	['CreateNamespaces=true', /^there is no sync option CreateNamespaces: did you mean CreateNamespace\?$/],
	['constructor=true', /^there is no sync option constructor$/],
];
for (const [option, expected] of refused)
	test(`the sync option ${option} is refused with a reason`, (t) => t.regex(optionProblem(option) ?? '', expected));

test('an object’s own options go before those of its application, and the last of two counts', (t) => {
	t.is(optionFor(object('a', options(' Prune=false , Validate=false')), 'Prune', ['Prune=true']), 'false');
	t.is(optionFor(object('a'), 'Prune', ['Prune=false']), 'false');
	t.is(optionOf('Prune', ['Prune=false', 'Prune=true']), 'true');
	t.is(optionOf('Prune', undefined), undefined);
	t.deepEqual(objectOptionProblems(object('a', options('Prune=false,Delete=false'))), []);
	t.is(objectOptionProblems(object('a', options('Prune=fals,Replace=true'))).length, 2);
	t.deepEqual(objectOptionProblems(object('a', options('Force=true,Replace=true'))), []);
});

const spec = (more: Partial<ApplicationSpec>): ApplicationSpec => ({
	project: 'default',
	destination: {},
	source: { repoURL: 'x' },
	...more,
});
const specs: readonly [string, Partial<ApplicationSpec>, RegExp][] = [
	['a version range', { source: { repoURL: 'x', targetRevision: 'v1.*' } }, /version range "v1\.\*" is not supported/],
	['a version range', { source: { repoURL: 'x', targetRevision: '>=1.0 <2' } }, /name a branch, a tag or a commit/],
	['a revision with blanks', { source: { repoURL: 'x', targetRevision: 'my branch' } }, /"my branch" has blanks in it/],
	['a revision of two lines', { source: { repoURL: 'x', targetRevision: 'main\nx' } }, /"main\\nx" has blanks in it/],
	[
		'a source whose name is two lines',
		{ sources: [{ repoURL: 'x', name: 'a\nremote: b' }] },
		/^spec\.sources\[0\]\.name has control characters in it; leave them out$/,
	],
	[
		'a source that is too long for another reason',
		{ source: { repoURL: 'x', helm: { values: 'x'.repeat(20_000) } } },
		/source\.helm is not supported; .*spec\.source is longer than 16384 bytes/,
	],
	['a URL with an escape', { source: { repoURL: 'x\u001b[31m' } }, /^spec\.source\.repoURL has control characters/],
	['an option that is not carried out', { syncPolicy: { syncOptions: ['Replace=true'] } }, /Replace=true is not supp/],
];
for (const [what, more, expected] of specs)
	test(`an Application with ${what} is refused: ${expected}`, (t) => t.regex(unsupported(spec(more)).join(), expected));

test('branches, tags and commits of every sound name are followed', (t) => {
	for (const targetRevision of ['main', 'v1.2.0', 'feature/x-1', 'HEAD', 'refs/heads/main', 'a'.repeat(40), '1.x'])
		t.deepEqual(unsupported(spec({ source: { repoURL: 'x', targetRevision } })), []);
});

const one: Application = {
	apiVersion: 'argoproj.io/v1alpha1',
	kind: 'Application',
	metadata: { name: 'one' },
	spec: spec({}),
};
const operations: readonly [Operation, RegExp][] = [
	[{}, /no sync in it/],
	[{ sync: { manifests: ['x'] } }, /manifests is not supported; push them/],
	[{ sync: { source: { repoURL: 'x', chart: 'c' } } }, /sync\.source\.chart is not supported/],
	[{ sync: { syncOptions: ['Replace=true'] } }, /Replace=true is not supported/],
	[{ sync: { revision: 'main\nx' } }, /^operation\.sync\.revision: "main\\nx" has blanks in it/],
	[{ sync: { revisions: ['\u001b[31m'] } }, /^operation\.sync\.revision: "\\u001b\[31m" has blanks in it/],
];
for (const [operation, expected] of operations)
	test(`a request ${JSON.stringify(operation)} is refused: ${expected}`, (t) =>
		t.regex(unsupportedOperation(operation, one).join(), expected));
test('a request as clients of Argo CD send it is carried out', (t) => {
	t.deepEqual(unsupportedOperation({ sync: { revision: 'x', prune: true, syncStrategy: { hook: {} } } }, one), []);
});

test('a sync of some objects takes those that are named, and never those that are left out', (t) => {
	const [a, b] = [object('a'), object('b')];
	const pick = (...resources: { kind: string; name: string; namespace?: string; exclude?: boolean }[]) => {
		const selected = selection({ sync: { resources } });
		return [a, b].filter(selected).map(({ metadata }) => metadata.name);
	};
	t.deepEqual(pick(), ['a', 'b']);
	t.deepEqual(pick({ kind: 'ConfigMap', name: 'a' }), ['a']);
	t.deepEqual(pick({ kind: 'ConfigMap', name: 'a', exclude: true }), ['b']);
	t.deepEqual(pick({ kind: 'ConfigMap', name: 'a', namespace: 'other' }), []);
	t.deepEqual(pick({ kind: 'Secret', name: 'a' }), []);
});

type Health = 'Healthy' | 'Progressing' | 'Degraded';
const staged = (of: Dynamic, what: 'pending' | 'touched' | 'untouched', health: Health): Staged => ({
	desired: { id: idOf(of), kind: {} as Kind, key: '', object: of, manifest: {} as Desired['manifest'] },
	settled: what !== 'pending',
	touched: what === 'touched',
	health: { status: health },
});
const leaving = (name: string, wave_ = 0, more: Partial<Leaving> = {}): Leaving => ({
	id: name,
	live: object(name, wave(wave_)),
	late: false,
	deleting: false,
	...more,
});
const show = ({ apply, prune, waitsFor, degraded, last }: Stage) => ({
	apply: apply.map((each) => each.object.metadata.name),
	prune: [...prune.values()].map(({ metadata }) => metadata.name),
	waitsFor: waitsFor.map(({ metadata }) => metadata.name),
	degraded: degraded.map(({ desired }) => desired.object.metadata.name),
	last,
});
const [early, middle, late] = [object('early', wave(-1)), object('middle'), object('late', wave(2))];
const none = { apply: [], prune: [], waitsFor: [], degraded: [], last: false };
const stages: readonly [string, readonly Staged[], readonly Leaving[], Partial<ReturnType<typeof show>>][] = [
	[
		'the first wave that is out of sync goes alone',
		[staged(late, 'pending', 'Progressing'), staged(early, 'pending', 'Progressing')],
		[],
		{ apply: ['early'] },
	],
	[
		'the next wave waits until what was changed before is healthy',
		[staged(early, 'touched', 'Progressing'), staged(middle, 'pending', 'Progressing')],
		[],
		{ waitsFor: ['early'] },
	],
	[
		'it goes when that is so',
		[staged(early, 'touched', 'Healthy'), staged(middle, 'pending', 'Progressing')],
		[],
		{ apply: ['middle'], last: true },
	],
	[
		'what the sync did not change holds up nothing, however unwell it is',
		[staged(early, 'untouched', 'Degraded'), staged(middle, 'pending', 'Progressing')],
		[],
		{ apply: ['middle'], last: true },
	],
	[
		'what was changed and does not work ends the sync',
		[staged(early, 'touched', 'Degraded'), staged(middle, 'pending', 'Progressing')],
		[],
		{ degraded: ['early'] },
	],
	[
		'nobody waits for the health of the last wave',
		[staged(early, 'touched', 'Healthy'), staged(late, 'touched', 'Degraded')],
		[],
		{ last: true },
	],
	[
		'what left the source goes in its wave, before what comes',
		[staged(middle, 'pending', 'Healthy')],
		[leaving('old')],
		{
			apply: ['middle'],
			prune: ['old'],
			last: true,
		},
	],
	['it goes in the reverse order of waves', [], [leaving('first', -1), leaving('second', 1)], { prune: ['second'] }],
	[
		'a wave waits until what went before has gone',
		[],
		[leaving('first', -1), leaving('second', 1, { deleting: true })],
		{
			waitsFor: ['second'],
		},
	],
	[
		'with PruneLast it goes when all that was changed is healthy',
		[staged(late, 'touched', 'Progressing')],
		[leaving('old', 0, { late: true })],
		{ waitsFor: ['late'] },
	],
	[
		'and then it goes',
		[staged(late, 'touched', 'Healthy')],
		[leaving('old', 0, { late: true })],
		{
			prune: ['old'],
			last: true,
		},
	],
];
for (const [title, objects, left, expected] of stages)
	test(`waves: ${title}`, (t) => t.deepEqual(show(nextStage(objects, left)), { ...none, ...expected }));
