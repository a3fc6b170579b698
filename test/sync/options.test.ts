/** What an Application and its objects may ask for, and how far a sync may go: the rules alone. */
import test from 'ava';
import type { ApplicationSpec, Dynamic, Kind, Operation } from '../../src/kinds/index.ts';
import { selection } from '../../src/sync/operation/selection.ts';
import { nextStage, type Stage, type Staged } from '../../src/sync/operation/stage.ts';
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
	'PrunePropagationPolicy=background',
])
	test(`the sync option ${option} is carried out`, (t) => t.is(optionProblem(option), undefined));

const refused: readonly [string, RegExp][] = [
	['Replace=true', /^the sync option Replace=true is not supported; every object is applied server-side/],
	['Force=true', /^the sync option Force=true is not supported; delete by hand/],
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
	['an option that is not carried out', { syncPolicy: { syncOptions: ['Replace=true'] } }, /Replace=true is not supp/],
];
for (const [what, more, expected] of specs)
	test(`an Application with ${what} is refused: ${expected}`, (t) => t.regex(unsupported(spec(more)).join(), expected));

test('branches, tags and commits of every sound name are followed', (t) => {
	for (const targetRevision of ['main', 'v1.2.0', 'feature/x-1', 'HEAD', 'refs/heads/main', 'a'.repeat(40), '1.x'])
		t.deepEqual(unsupported(spec({ source: { repoURL: 'x', targetRevision } })), []);
});

const operations: readonly [Operation, RegExp][] = [
	[{}, /no sync in it/],
	[{ sync: { manifests: ['x'] } }, /manifests is not supported; push them/],
	[{ sync: { source: { repoURL: 'x' } } }, /sync\.source is not supported/],
	[{ sync: { syncStrategy: { apply: { force: true } } } }, /force is not supported/],
	[{ sync: { syncOptions: ['Replace=true'] } }, /Replace=true is not supported/],
];
for (const [operation, expected] of operations)
	test(`a request ${JSON.stringify(operation)} is refused: ${expected}`, (t) =>
		t.regex(unsupportedOperation(operation).join(), expected));
test('a request as clients of Argo CD send it is carried out', (t) => {
	t.deepEqual(unsupportedOperation({ sync: { revision: 'x', prune: true, syncStrategy: { hook: {} } } }), []);
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

const staged = (of: Dynamic, synced: boolean, healthy: boolean): Staged => ({
	desired: { id: idOf(of), kind: {} as Kind, key: '', object: of, manifest: {} as Desired['manifest'] },
	synced,
	healthy,
});
const show = ({ apply, prune, waitsFor, last }: Stage) => ({
	apply: apply.map((each) => each.object.metadata.name),
	prune: [...prune.values()].map(({ metadata }) => metadata.name),
	waitsFor: waitsFor.map((each) => each.object.metadata.name),
	last,
});
const [early, middle, late] = [object('early', wave(-1)), object('middle'), object('late', wave(2))];
const left = new Map([['old', object('old')]]);
const stages: readonly [string, readonly Staged[], boolean, ReturnType<typeof show>][] = [
	[
		'the first wave that is out of sync goes alone',
		[staged(late, false, false), staged(early, false, false), staged(middle, false, false)],
		false,
		{ apply: ['early'], prune: [], waitsFor: [], last: false },
	],
	[
		'the next wave waits until the one before is healthy',
		[staged(early, true, false), staged(middle, false, false), staged(late, false, false)],
		false,
		{ apply: [], prune: [], waitsFor: ['early'], last: false },
	],
	[
		'it goes when that is so',
		[staged(early, true, true), staged(middle, false, false), staged(late, false, false)],
		false,
		{ apply: ['middle'], prune: [], waitsFor: [], last: false },
	],
	[
		'what left the source goes with the last wave',
		[staged(early, true, true), staged(middle, true, true), staged(late, false, false)],
		false,
		{ apply: ['late'], prune: ['old'], waitsFor: [], last: true },
	],
	[
		'nobody waits for the health of the last wave',
		[staged(early, true, true), staged(late, true, false)],
		false,
		{ apply: [], prune: ['old'], waitsFor: [], last: true },
	],
	[
		'what is unwell in a later wave holds up no earlier one',
		[staged(early, false, false), staged(late, true, false)],
		false,
		{ apply: ['early'], prune: ['old'], waitsFor: [], last: true },
	],
	[
		'with PruneLast what left the source goes when all is applied',
		[staged(middle, false, true)],
		true,
		{ apply: ['middle'], prune: [], waitsFor: ['middle'], last: false },
	],
	['and healthy', [staged(middle, true, false)], true, { apply: [], prune: [], waitsFor: ['middle'], last: false }],
	['then it goes', [staged(middle, true, true)], true, { apply: [], prune: ['old'], waitsFor: [], last: true }],
];
for (const [title, objects, last, expected] of stages)
	test(`waves: ${title}`, (t) => t.deepEqual(show(nextStage(objects, left, () => last)), expected));
