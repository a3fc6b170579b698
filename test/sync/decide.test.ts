import test from 'ava';
import type { Application, ApplicationSpec, OperationState } from '../../src/kinds/index.ts';
import type { Compared } from '../../src/sync/compare/compare.ts';
import { createHealing } from '../../src/sync/compare/healing.ts';
import {
	decide,
	healDelay,
	parseDuration,
	retryDelay,
	SELF_HEAL_DELAY_MS,
	type Situation,
} from '../../src/sync/operation/decide.ts';
import { type Revision, recordOf } from '../../src/sync/revision.ts';

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
const at = (commit: string, path?: string): Revision => ({
	sources: [{ source: { repoURL: 'x', ...(path ? { path } : {}) }, commit }],
	destination: {},
});
const last = (state: Partial<OperationState>, app = application({ prune: true, selfHeal: true })): Application => ({
	...app,
	status: {
		operationState: {
			phase: 'Running',
			startedAt: '1970-01-01T00:00:00Z',
			operation: { sync: { revision: 'b' }, initiatedBy: { automated: true } },
			syncResult: recordOf(at('b')),
			...state,
		},
	},
});
const situation = (change: Partial<Situation>): Situation => ({
	application: application({ prune: true, selfHeal: true }),
	revision: at('b'),
	outOfSync: 0,
	held: 0,
	gone: 0,
	wanted: 5,
	healAt: undefined,
	synced: at('a'),
	freed: false,
	...change,
});
const now = 1_000_000;

test('what is in sync is left alone', (t) => {
	t.deepEqual(decide(situation({}), now), { do: 'nothing' });
});

test('a new revision that changes something is synced at once', (t) => {
	t.like(decide(situation({ outOfSync: 1 }), now), {
		do: 'sync',
		why: 'revision',
		operation: { sync: { prune: true, revision: 'b' } },
	});
});

test('without automated sync, or with it switched off, nothing is synced by itself', (t) => {
	t.deepEqual(decide(situation({ application: application(undefined), outOfSync: 1 }), now), { do: 'nothing' });
	t.deepEqual(decide(situation({ application: application({ enabled: false }), outOfSync: 1 }), now), {
		do: 'nothing',
	});
});

test('a request is carried out whatever the policy says', (t) => {
	const asked = { ...application(undefined), operation: { sync: { prune: true } } };
	t.like(decide(situation({ application: asked }), now), {
		do: 'sync',
		why: 'requested',
		operation: { sync: { prune: true } },
	});
});

test('drift of a synced revision waits for its time, then is healed', (t) => {
	const drifted = situation({ outOfSync: 1, synced: at('b'), healAt: now + 10 });
	t.deepEqual(decide(drifted, now), { do: 'wait', until: now + 10, for: 'self-heal' });
	t.like(decide(drifted, now + 10), { do: 'sync', why: 'self-heal' });
});

test('without selfHeal drift of a synced revision stays', (t) => {
	t.deepEqual(decide(situation({ application: application({}), outOfSync: 1, synced: at('b'), healAt: now }), now), {
		do: 'nothing',
	});
});

test('objects that left the source are a reason to sync only where pruning is on', (t) => {
	t.like(decide(situation({ gone: 1 }), now), { do: 'sync', operation: { sync: { prune: true } } });
	t.deepEqual(decide(situation({ application: application({ selfHeal: true }), gone: 1 }), now), { do: 'nothing' });
});

test('a source without any objects prunes nothing unless allowEmpty says so', (t) => {
	const empty = { wanted: 0, gone: 4 };
	const refused = decide(situation(empty), now);
	t.is(refused.do, 'nothing');
	t.regex((refused as { blocked?: string }).blocked ?? '', /allowEmpty/);
	t.like(decide(situation({ ...empty, application: application({ prune: true, allowEmpty: true }) }), now), {
		do: 'sync',
		operation: { sync: { prune: true } },
	});
});

test('while the source cannot be read nothing is synced', (t) => {
	t.deepEqual(decide(situation({ revision: undefined, outOfSync: 3, gone: 3 }), now), { do: 'nothing' });
});

test('another path of the same commit, or another destination, is a change', (t) => {
	const synced = at('b', 'old');
	t.like(decide(situation({ application: application({}), outOfSync: 1, synced }), now), { why: 'revision' });
	const elsewhere = { ...at('b'), destination: { namespace: 'other' } };
	t.like(decide(situation({ application: application({}), outOfSync: 1, synced: elsewhere }), now), {
		why: 'revision',
	});
	const named = { ...at('b'), sources: [{ source: { repoURL: 'x', targetRevision: 'main' }, commit: 'b' }] };
	t.deepEqual(decide(situation({ application: application({}), outOfSync: 1, synced: named }), now), { do: 'nothing' });
});

test('a sync by itself is tried again five times where no policy says otherwise', (t) => {
	t.like(decide(situation({ outOfSync: 1 }), now), { do: 'sync', operation: { retry: { limit: 5 } } });
	const retry = { limit: 2, backoff: { duration: '1m' } };
	const own = application({ prune: true }, { syncPolicy: { automated: {}, retry } });
	t.like(decide(situation({ application: own, outOfSync: 1 }), now), { do: 'sync', operation: { retry } });
});

test('a failed attempt waits for its time, or until what it stumbled over has gone', (t) => {
	const finishedAt = new Date(now).toISOString();
	const waiting = last({ finishedAt, retryCount: 2 });
	t.deepEqual(decide(situation({ application: waiting, outOfSync: 1 }), now), {
		do: 'wait',
		until: now + 10_000,
		for: 'retry',
	});
	t.like(decide(situation({ application: waiting, outOfSync: 1 }), now + 10_000), { do: 'sync', why: 'revision' });
	t.like(decide(situation({ application: waiting, outOfSync: 1, freed: true }), now), { do: 'sync' });
});

test('what has failed for good is begun again for a new revision, another source, or when the hindrance has gone', (t) => {
	const failed = last({ phase: 'Failed', message: 'no', retryCount: 5 });
	const stays = decide(situation({ application: failed, outOfSync: 1 }), now) as { do: string; blocked?: string };
	t.is(stays.do, 'nothing');
	t.regex(stays.blocked ?? '', /failed 6 times, the limit of its retry policy: no; push a new revision/);
	for (const change of [{ revision: at('c') }, { revision: at('b', 'other') }, { freed: true }])
		t.like(decide(situation({ application: failed, outOfSync: 1, ...change }), now), { do: 'sync' });
	const dryRun = last({ phase: 'Failed', operation: { sync: { dryRun: true } } });
	t.like(decide(situation({ application: dryRun, outOfSync: 1 }), now), { do: 'sync' }, 'a dry run says nothing of it');
});

test('a sync by itself gives way to a request and to what is newer; one that was asked for does not', (t) => {
	const own = { ...last({}), operation: { sync: { prune: true } } };
	t.like(decide(situation({ application: own }), now), { do: 'sync', why: 'requested', operation: own.operation });
	t.like(decide(situation({ application: last({}) }), now), {
		do: 'sync',
		why: 'revision',
		continues: { phase: 'Running' },
	});
	t.like(decide(situation({ application: last({}), revision: at('c'), outOfSync: 1 }), now), {
		do: 'sync',
		operation: { sync: { revision: 'c' } },
	});
	t.like(decide(situation({ application: last({}), revision: at('c') }), now), {
		do: 'end',
		message: 'c has taken its place',
	});
	const emptied = situation({ application: last({}), revision: at('c'), wanted: 0, gone: 3 });
	t.is(decide(emptied, now).do, 'end', 'a newer revision without objects prunes nothing');
	const asked = { ...last({ operation: { sync: {} } }), operation: { sync: { prune: true } } };
	t.like(decide(situation({ application: asked, revision: at('c') }), now), { continues: { operation: { sync: {} } } });
	t.like(decide(situation({ application: last({ phase: 'Terminating' }) }), now), {
		do: 'end',
		message: 'the sync was terminated',
	});
});

test('fields that others hold are taken back without selfHeal, unless that would undo something', (t) => {
	const synced = at('b');
	const app = application({});
	const held = situation({ application: app, held: 1, synced, healAt: now });
	t.like(decide(held, now), { do: 'sync', why: 'self-heal' });
	t.deepEqual(decide({ ...held, outOfSync: 1 }, now), { do: 'nothing' });
});

test('retry delays follow the policy and stay under its maximum', (t) => {
	const policy = { backoff: { duration: '1m', factor: 3, maxDuration: '5m' } };
	t.deepEqual(
		[1, 2, 3].map((retry) => retryDelay(policy, retry)),
		[60_000, 180_000, 300_000],
	);
	t.is(retryDelay({}, 1), 5_000);
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

test('what was mended and has not been in sync since is mended again only after its growing delay', (t) => {
	const drifted = { id: 'a', desired: {}, drift: { state: 'missing' }, health: undefined } as unknown as Compared;
	const healing = createHealing({ objects: new Map([['a', drifted]]) });
	const none = new Set<string>();
	healing.noteDrift(['a'], 0);
	t.is(healing.healAt(none), SELF_HEAL_DELAY_MS);
	healing.noteHealed(['a'], 400_000);
	healing.noteDrift(['a'], 400_001);
	t.is(healing.healAt(none), 400_000 + 2 * SELF_HEAL_DELAY_MS);
	healing.noteHealed(['a'], 900_000);
	t.is(healing.healAt(none), 900_000 + 4 * SELF_HEAL_DELAY_MS);
});
