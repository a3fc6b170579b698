/** What planPod does next, case by case. */
import test from 'ava';
import { newMemory } from '../../src/agents/pods/memory.ts';
import type { Observed, Stopping } from '../../src/agents/pods/observed.ts';
import { planPod, type Step } from '../../src/agents/pods/plan.ts';
import { beginNow } from '../../src/agents/pods/stop.ts';
import type { Pod } from '../../src/kinds/index.ts';
import {
	blank,
	container,
	ended,
	failure,
	initialized,
	instance,
	NOW,
	observed,
	pod,
	S,
	sandbox,
} from './observed-pods.ts';

/** A step in one line. */
function brief(step: Step): string {
	switch (step.do) {
		case 'startContainer':
			return `start ${step.container} ${step.attempt} backoff ${step.backoff}`;
		case 'resumeContainer':
		case 'stopContainer':
			return `${step.do} ${step.id}${'deadline' in step ? ` in ${(step.deadline - NOW) / S}` : ''}`;
		case 'kill':
		case 'remove':
		case 'startSandbox':
			return `${step.do} ${step.id}`;
		case 'pullImage':
			return `pull ${step.container}`;
		case 'createSandbox':
			return `sandbox ${step.attempt}`;
		case 'wait':
			return `wait ${(step.until - NOW) / S}`;
		default:
			return step.do;
	}
}

/** A container that was asked `ago` seconds ago, and is to end `left` seconds from now. */
const asked = (left: number, ago = 10): Stopping => ({
	since: NOW - ago * S,
	deadline: NOW + left * S,
	signalled: NOW - ago * S,
});
const deleted = { metadata: { deletionTimestamp: '2024-05-01T12:00:20Z', deletionGracePeriodSeconds: 20 } };
const sidecar = pod({ initContainers: [container('side', { restartPolicy: 'Always' }), container('a')] });

const images = (...names: string[]) => new Map(names.map((name) => [name, { state: 'present' }] as const));
const postStart = { exec: { command: ['true'] } };
const hooked = pod({ containers: [container('a', { lifecycle: { postStart } }), container('main')] });

const plans: readonly (readonly [string, Pod, Partial<Observed>, readonly string[]])[] = [
	['a new pod first gets its volumes', pod(), { volumes: 'unmounted', sandboxes: [] }, ['mountVolumes']],
	['volumes that failed wait', pod(), { volumes: failure(NOW + 4 * S), sandboxes: [] }, ['wait 4']],
	['and are tried again', pod(), { volumes: failure(NOW), sandboxes: [] }, ['mountVolumes']],
	[
		'volumes that cannot be brought up to date do not hold up the pod that has them',
		pod(),
		{ volumes: { ...failure(NOW + 4 * S), standing: true }, instances: [ended('main', 1)] },
		['wait 4', 'start main 1 backoff 10'],
	],
	['then its sandbox', pod(), { sandboxes: [] }, ['sandbox 0']],
	[
		'a sandbox that was created only is started',
		pod(),
		{ sandboxes: [{ ...sandbox, state: 'created' }] },
		['startSandbox s0'],
	],
	['one that failed waits', pod(), { sandboxes: [], sandboxFailure: failure(NOW + S) }, ['wait 1']],
	['one that died is replaced', pod(), { sandboxes: [{ ...sandbox, state: 'exited' }] }, ['sandbox 1']],
	[
		'after what it held has stopped',
		pod(),
		{ sandboxes: [{ ...sandbox, state: 'exited' }], instances: [instance('main')] },
		['stopContainer main-0 in 30'],
	],
	['an image that is absent is pulled', pod(), { images: new Map([['main', { state: 'absent' }]]) }, ['pull main']],
	['one that is being pulled is waited for', pod(), { images: new Map([['main', { state: 'pulling' }]]) }, []],
	[
		'one that failed is tried again in its time',
		pod(),
		{ images: new Map([['main', { state: 'failed', failure: failure(NOW + 9 * S) }]]) },
		['wait 9'],
	],
	['a container with its image is started', pod(), {}, ['start main 0 backoff 0']],
	['one that could not be created waits', pod(), { failures: new Map([['main', failure(NOW + 5 * S)]]) }, ['wait 5']],
	[
		'one that was created only is started',
		pod(),
		{ instances: [instance('main', { state: 'created' })] },
		['resumeContainer main-0'],
	],
	[
		'unless that has just failed',
		pod(),
		{ instances: [instance('main', { state: 'created' })], failures: new Map([['main', failure(NOW + 3 * S)]]) },
		['wait 3'],
	],
	[
		'the next container waits for the postStart hook of the one before it',
		hooked,
		{ images: images('a', 'main') },
		['start a 0 backoff 0'],
	],
	[
		'as long as that runs',
		hooked,
		{ instances: [instance('a')], hooking: new Set(['a-0']), images: new Map([['main', { state: 'absent' }]]) },
		['pull main'],
	],
	['and not longer', hooked, { instances: [instance('a')] }, ['start main 0 backoff 0']],
	['one that runs is left alone', pod(), { instances: [instance('main')] }, []],
	['the first restart is at once', pod(), { instances: [ended('main', 1)] }, ['start main 1 backoff 10']],
	['the next waits', pod(), { instances: [ended('main', 1, { attempt: 1, backoff: 10 })] }, ['wait 10']],
	[
		'the wait doubles',
		pod(),
		{ instances: [ended('main', 1, { attempt: 2, backoff: 20, finishedAt: NOW - 20 * S })] },
		['start main 3 backoff 40'],
	],
	[
		'up to five minutes',
		pod(),
		{ instances: [ended('main', 1, { attempt: 7, backoff: 300, finishedAt: NOW - 300 * S })] },
		['start main 8 backoff 300'],
	],
	[
		'ten minutes of running forgive',
		pod(),
		{ instances: [ended('main', 1, { attempt: 7, backoff: 300, startedAt: NOW - 600 * S })] },
		['start main 8 backoff 10'],
	],
	[
		'OnFailure does not restart a success; the pod is over',
		pod({ restartPolicy: 'OnFailure' }),
		{ instances: [ended('main', 0)] },
		['kill s0'],
	],
	['Never does not restart a failure', pod({ restartPolicy: 'Never' }), { instances: [ended('main', 1)] }, ['kill s0']],
	[
		'a container that vanished counts as killed',
		pod(
			{ restartPolicy: 'Never' },
			{ status: { containerStatuses: [{ ...blank('main'), containerID: 'docker://x' }] } },
		),
		{},
		['kill s0'],
	],
	[
		'and is restarted with the count that the status remembers',
		pod({}, { status: { containerStatuses: [{ ...blank('main'), containerID: 'docker://x', restartCount: 4 }] } }),
		{},
		['start main 5 backoff 10'],
	],
	[
		'also where the engine has an older one still',
		pod({}, { status: { containerStatuses: [{ ...blank('main'), containerID: 'docker://x', restartCount: 4 }] } }),
		{ instances: [ended('main', 1, { attempt: 3 })] },
		['start main 5 backoff 10'],
	],
	[
		'a changed image replaces the container',
		pod(),
		{ instances: [instance('main', { hash: 'other' })] },
		['stopContainer main-0 in 30'],
	],
	[
		'an unhealthy container is stopped, in the grace of its probe',
		pod(),
		{
			instances: [instance('main')],
			health: new Map([['main-0', { started: true, ready: true, unhealthy: { probe: 'Liveness', graceSeconds: 3 } }]]),
		},
		['stopContainer main-0 in 3'],
	],
	[
		'and killed when that is over',
		pod(),
		{
			instances: [instance('main')],
			health: new Map([['main-0', { started: true, ready: true, unhealthy: { probe: 'Liveness' } }]]),
			stopping: new Map([['main-0', asked(0)]]),
		},
		['kill main-0'],
	],
	['init containers come first, one by one', initialized, {}, ['start a 0 backoff 0']],
	['the next waits for the one before', initialized, { instances: [instance('a')] }, []],
	['then it runs', initialized, { instances: [ended('a', 0)] }, ['start b 0 backoff 0']],
	['then the others', initialized, { instances: [ended('a', 0), ended('b', 0)] }, ['start main 0 backoff 0']],
	['a failed one is repeated', initialized, { instances: [ended('a', 1)] }, ['start a 1 backoff 10']],
	[
		'a new sandbox runs them again',
		initialized,
		{ sandboxes: [{ ...sandbox, id: 's1', attempt: 1 }], instances: [ended('a', 0), ended('b', 0), ended('main', 1)] },
		['start a 1 backoff 10'],
	],
	[
		'but not once the others have been started',
		initialized,
		{ instances: [ended('main', 1)] },
		['start main 1 backoff 10'],
	],
	[
		'a sidecar must have started before what follows',
		sidecar,
		{ instances: [instance('side')], health: new Map() },
		[],
	],
	['then that starts', sidecar, { instances: [instance('side')] }, ['start a 0 backoff 0']],
	[
		'and it is stopped when the others are over',
		pod({ restartPolicy: 'Never', initContainers: [container('side', { restartPolicy: 'Always' })] }),
		{ instances: [instance('side'), ended('main', 0)] },
		['stopContainer side-0 in 30'],
	],
	[
		'a deleted pod stops in its grace',
		pod({}, deleted),
		{ instances: [instance('main')] },
		['stopContainer main-0 in 20'],
	],
	[
		'it is not asked twice',
		pod({}, deleted),
		{ instances: [instance('main')], stopping: new Map([['main-0', asked(7)]]), stoppingSince: NOW - 13 * S },
		['wait 7'],
	],
	[
		'a shorter grace counts at once, from when the stop began',
		pod({}, { metadata: { ...deleted.metadata, deletionGracePeriodSeconds: 8 } }),
		{ instances: [instance('main')], stopping: new Map([['main-0', asked(15, 5)]]), stoppingSince: NOW - 5 * S },
		['wait 3'],
	],
	[
		'and ends a stop that has taken longer already',
		pod({}, { metadata: { ...deleted.metadata, deletionGracePeriodSeconds: 1 } }),
		{ instances: [instance('main')], stopping: new Map([['main-0', asked(15, 5)]]), stoppingSince: NOW - 5 * S },
		['kill main-0'],
	],
	[
		'what was asked to stop before, for itself, takes nothing from the grace of the pod',
		pod({}, deleted),
		{ instances: [instance('main', { attempt: 1 }), ended('main', 137)], stopping: new Map([['main-0', asked(-50)]]) },
		['stopContainer main-1 in 20'],
	],
	[
		'what the agent remembers of a stop before its own restart counts',
		pod({}, deleted),
		{ instances: [instance('main')], stoppingSince: NOW - 15 * S },
		['stopContainer main-0 in 5'],
	],
	[
		'a container that is asked has time to hear its signal, though the grace is over',
		pod({}, deleted),
		{ instances: [instance('main')], stoppingSince: NOW - 3600 * S },
		['stopContainer main-0 in 2'],
	],
	[
		'and so has one whose preStop hook has taken all of the grace',
		pod({}, deleted),
		{
			instances: [instance('main')],
			stopping: new Map([['main-0', { since: NOW - 20 * S, deadline: NOW }]]),
			stoppingSince: NOW - 20 * S,
		},
		['wait 2'],
	],
	[
		'counted from the signal when that has been sent',
		pod({}, deleted),
		{
			instances: [instance('main')],
			stopping: new Map([['main-0', { since: NOW - 20 * S, deadline: NOW, signalled: NOW - S }]]),
			stoppingSince: NOW - 20 * S,
		},
		['wait 1'],
	],
	[
		'a sidecar has what the containers before it have left of the grace',
		pod({ initContainers: [container('side', { restartPolicy: 'Always' })] }, deleted),
		{
			instances: [instance('side'), ended('main', 0)],
			stopping: new Map([['main-0', asked(8)]]),
			stoppingSince: NOW - 12 * S,
		},
		['stopContainer side-0 in 8'],
	],
	[
		'sidecars stop last',
		pod({ initContainers: [container('side', { restartPolicy: 'Always' })] }, deleted),
		{ instances: [instance('side'), instance('main')] },
		['stopContainer main-0 in 20'],
	],
	[
		'when all has stopped it is reported, removed, and the API forgets it',
		pod({}, deleted),
		{ instances: [ended('main', 0)] },
		['report', 'remove main-0', 'remove s0', 'removeVolumes', 'deletePod'],
	],
	['a pod that the API forgot is only removed', pod(), { gone: NOW, volumes: 'removed' }, ['remove s0']],
	['and gets a short grace', pod(), { gone: NOW, instances: [instance('main')] }, ['stopContainer main-0 in 2']],
	[
		'also where it had a long one before',
		pod({}, deleted),
		{
			gone: NOW - S,
			instances: [instance('main')],
			stopping: new Map([['main-0', asked(15)]]),
			stoppingSince: NOW - S,
		},
		['wait 1'],
	],
	[
		'and ends with it',
		pod({}, deleted),
		{ gone: NOW - 2 * S, instances: [instance('main')], stopping: new Map([['main-0', asked(15)]]) },
		['kill main-0'],
	],
	[
		'of each container one dead one is kept, of the sandboxes none',
		pod(),
		{
			sandboxes: [
				{ ...sandbox, attempt: 1 },
				{ ...sandbox, id: 'old', state: 'exited' },
			],
			instances: [instance('main', { attempt: 3 }), ended('main', 1, { attempt: 2 }), ended('main', 1, { attempt: 1 })],
		},
		['remove old', 'remove main-1'],
	],
	[
		'a pod past its deadline stops',
		pod({ activeDeadlineSeconds: 10 }, { status: { startTime: '2024-05-01T11:59:50Z' } }),
		{ instances: [instance('main')] },
		['stopContainer main-0 in 30'],
	],
	[
		'until then its deadline is waited for',
		pod({ activeDeadlineSeconds: 10 }, { status: { startTime: '2024-05-01T11:59:55Z' } }),
		{ instances: [instance('main')] },
		['wait 5'],
	],
];

for (const [title, given, seen, steps] of plans) {
	test(`plan: ${title}`, (t) => {
		t.deepEqual(planPod(given, observed(seen), NOW).map(brief), steps);
	});
}

test('plan: a clock that is set back makes no stop longer', (t) => {
	const memory = newMemory();
	memory.stoppingSince = NOW + 3600 * S;
	memory.stopping.set('a', { since: NOW + 3600 * S, deadline: NOW + 3630 * S });
	memory.stopping.set('b', { since: NOW + 3600 * S, deadline: NOW + 3630 * S, signalled: NOW + 3601 * S });
	memory.stopping.set('c', { since: NOW - S, deadline: NOW + 29 * S });
	beginNow(memory, NOW);
	t.is(memory.stoppingSince, NOW);
	t.deepEqual(Object.fromEntries(memory.stopping), {
		a: { since: NOW, deadline: NOW + 30 * S },
		b: { since: NOW, deadline: NOW + 30 * S, signalled: NOW + S },
		c: { since: NOW - S, deadline: NOW + 29 * S },
	});
});
