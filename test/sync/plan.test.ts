import test from 'ava';
import type { Dynamic, Kind } from '../../src/kinds/index.ts';
import { rankOf, waveOf } from '../../src/sync/operation/order.ts';
import { planSync, type Step } from '../../src/sync/operation/plan.ts';
import { type Desired, idOf } from '../../src/sync/want/desired.ts';

const object = (apiVersion: string, kind: string, name: string, annotations?: Record<string, string>): Dynamic => ({
	apiVersion,
	kind,
	metadata: { name, namespace: 'shop', ...(annotations ? { annotations } : {}) },
});
const wanted = (of: Dynamic): Desired => ({
	id: idOf(of),
	kind: {} as Kind,
	key: '',
	object: of,
	manifest: {} as Desired['manifest'],
});
const gone = (...objects: Dynamic[]) => new Map(objects.map((each) => [idOf(each), each]));
const show = (step: Step) =>
	step.do === 'apply' ? `apply ${step.desired.object.metadata.name}` : `${step.do} ${step.live.metadata.name}`;
const plan = (...args: Parameters<typeof planSync>) => planSync(...args).map((wave) => wave.map(show));

const namespace = object('v1', 'Namespace', 'shop');
const config = object('v1', 'ConfigMap', 'page');
const service = object('v1', 'Service', 'web');
const deployment = object('apps/v1', 'Deployment', 'web');
const custom = object('example.com/v1', 'Widget', 'w');

test('namespaces come first, workloads last, kinds that nobody knows after them', (t) => {
	t.deepEqual(plan([deployment, custom, service, config, namespace].map(wanted), new Map(), { prune: false }), [
		['apply shop'],
		['apply page'],
		['apply web'],
		['apply web'],
		['apply w'],
	]);
});

test('objects of one kind and wave go together', (t) => {
	const other = object('v1', 'ConfigMap', 'other');
	t.deepEqual(plan([config, other].map(wanted), new Map(), { prune: false }), [['apply page', 'apply other']]);
});

test('waves go before kinds', (t) => {
	const early = object('apps/v1', 'Deployment', 'early', { 'argocd.argoproj.io/sync-wave': '-1' });
	const late = object('v1', 'Namespace', 'late', { 'argocd.argoproj.io/sync-wave': '5' });
	t.deepEqual(plan([config, early, late].map(wanted), new Map(), { prune: false }), [
		['apply early'],
		['apply page'],
		['apply late'],
	]);
	t.is(waveOf(object('v1', 'ConfigMap', 'x', { 'argocd.argoproj.io/sync-wave': 'soon' })), 0);
});

test('what goes, goes before what comes, which may need its place; in the opposite order', (t) => {
	t.deepEqual(plan([wanted(config)], gone(namespace, deployment, service), { prune: true }), [
		['prune web'],
		['prune web'],
		['prune shop'],
		['apply page'],
	]);
});

test('without pruning, and with Prune=false, objects are kept and said to be', (t) => {
	const kept = object('v1', 'ConfigMap', 'kept', { 'argocd.argoproj.io/sync-options': 'Validate=false, Prune=false' });
	const [[step] = []] = planSync([], gone(kept), { prune: true });
	t.is(step?.do, 'keep');
	t.regex(step?.do === 'keep' ? step.why : '', /Prune=false/);
	t.deepEqual(plan([], gone(config), { prune: false }), [['keep page']]);
});

test('a custom kind that is called like a built-in one is not ranked like it', (t) => {
	t.true(rankOf(object('example.com/v1', 'Namespace', 'x')) > rankOf(deployment));
});
