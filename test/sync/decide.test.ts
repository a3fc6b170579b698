import test from 'ava';
import type { Application, ApplicationSpec } from '../../src/kinds/index.ts';
import {
	decide,
	healDelay,
	parseDuration,
	retryDelay,
	SELF_HEAL_DELAY_MS,
	type Situation,
} from '../../src/sync/operation/decide.ts';

const application = (automated: object | undefined, more: Partial<ApplicationSpec> = {}): Application => ({
	apiVersion: 'argoproj.io/v1alpha1',
	kind: 'Application',
	metadata: { name: 'shop', namespace: 'default' },
	spec: {
		project: 'default',
		destination: {},
		source: { repoURL: 'x' },
		syncPolicy: automated ? { automated } : {},
		...more,
	},
});
const situation = (change: Partial<Situation>): Situation => ({
	application: application({ prune: true, selfHeal: true }),
	revision: 'b',
	outOfSync: 0,
	held: 0,
	gone: 0,
	wanted: 5,
	healAt: undefined,
	syncedRevision: 'a',
	failure: undefined,
	...change,
});
const now = 1_000_000;

test('what is in sync is left alone', (t) => {
	t.deepEqual(decide(situation({}), now), { do: 'nothing' });
});

test('a new revision that changes something is synced at once', (t) => {
	t.like(decide(situation({ outOfSync: 1 }), now), { do: 'sync', why: 'revision', prune: true });
});

test('without automated sync, or with it switched off, nothing is synced by itself', (t) => {
	t.deepEqual(decide(situation({ application: application(undefined), outOfSync: 1 }), now), { do: 'nothing' });
	t.deepEqual(decide(situation({ application: application({ enabled: false }), outOfSync: 1 }), now), {
		do: 'nothing',
	});
});

test('a request is carried out whatever the policy says', (t) => {
	const asked = { ...application(undefined), operation: { sync: { prune: true } } };
	t.like(decide(situation({ application: asked }), now), { do: 'sync', why: 'requested', prune: true });
});

test('drift of a synced revision waits for its time, then is healed', (t) => {
	const drifted = situation({ outOfSync: 1, syncedRevision: 'b', healAt: now + 10 });
	t.deepEqual(decide(drifted, now), { do: 'wait', until: now + 10 });
	t.like(decide(drifted, now + 10), { do: 'sync', why: 'self-heal' });
});

test('without selfHeal drift of a synced revision stays', (t) => {
	t.deepEqual(
		decide(situation({ application: application({}), outOfSync: 1, syncedRevision: 'b', healAt: now }), now),
		{ do: 'nothing' },
	);
});

test('objects that left the source are a reason to sync only where pruning is on', (t) => {
	t.like(decide(situation({ gone: 1 }), now), { do: 'sync', prune: true });
	t.deepEqual(decide(situation({ application: application({ selfHeal: true }), gone: 1 }), now), { do: 'nothing' });
});

test('a source without any objects prunes nothing unless allowEmpty says so', (t) => {
	const empty = { wanted: 0, gone: 4 };
	const refused = decide(situation(empty), now);
	t.is(refused.do, 'nothing');
	t.regex((refused as { blocked?: string }).blocked ?? '', /allowEmpty/);
	t.like(decide(situation({ ...empty, application: application({ prune: true, allowEmpty: true }) }), now), {
		do: 'sync',
		prune: true,
	});
});

test('while the source cannot be read nothing is synced', (t) => {
	t.deepEqual(decide(situation({ revision: undefined, outOfSync: 3, gone: 3 }), now), { do: 'nothing' });
});

test('a failed sync of a revision is tried again after a growing delay, up to the limit of its policy', (t) => {
	const failure = { revision: 'b', count: 2, at: now };
	t.deepEqual(decide(situation({ outOfSync: 1, failure }), now), { do: 'wait', until: now + 10_000 });
	t.like(decide(situation({ outOfSync: 1, failure }), now + 10_000), { do: 'sync', retries: 2 });
	const limited = application({ prune: true }, { syncPolicy: { automated: { prune: true }, retry: { limit: 1 } } });
	t.regex(
		(decide(situation({ application: limited, outOfSync: 1, failure }), now + 1e9) as { blocked?: string }).blocked ??
			'',
		/failed 2 times/,
	);
	t.like(
		decide(situation({ outOfSync: 1, failure: { ...failure, revision: 'a' } }), now),
		{ do: 'sync' },
		'another revision starts anew',
	);
});

test('retry delays follow the policy and stay under its maximum', (t) => {
	const app = application({}, { syncPolicy: { retry: { backoff: { duration: '1m', factor: 3, maxDuration: '5m' } } } });
	t.deepEqual(
		[1, 2, 3].map((failures) => retryDelay(app, failures)),
		[60_000, 180_000, 300_000],
	);
	t.is(retryDelay(application({}), 1), 5_000);
});

test('an object that drifts again and again is healed ever more slowly', (t) => {
	t.deepEqual([0, 1, 2].map(healDelay), [SELF_HEAL_DELAY_MS, SELF_HEAL_DELAY_MS * 2, SELF_HEAL_DELAY_MS * 4]);
	t.is(healDelay(30), 300_000);
});

test('durations are those of Go, or seconds', (t) => {
	t.is(parseDuration('1m30s'), 90_000);
	t.is(parseDuration('7'), 7_000);
	t.is(parseDuration('1.5h'), 5_400_000);
	t.is(parseDuration('soon'), undefined);
	t.is(parseDuration(undefined), undefined);
});
