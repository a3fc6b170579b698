/** What podStatus says of a pod, case by case. */
import test from 'ava';
import type * as core from 'kubernetes-types/core/v1.js';
import type { Observed } from '../../src/agents/pods/observed.ts';
import { podStatus } from '../../src/agents/pods/status.ts';
import type { Pod } from '../../src/kinds/index.ts';
import { blank, container, ended, failure, initialized, instance, NOW, observed, pod } from './observed-pods.ts';

interface Said {
	readonly phase?: string;
	readonly reason?: string;
	/** Reason of waiting or terminated, or `running`. */
	readonly state?: string;
	readonly last?: string;
	readonly ready?: string;
	readonly initialized?: string;
	readonly restarts?: number;
}

const statuses: readonly (readonly [string, Pod, Partial<Observed>, Said])[] = [
	[
		'a pod that begins is Pending',
		pod(),
		{ sandboxes: [] },
		{ phase: 'Pending', state: 'ContainerCreating', ready: 'False' },
	],
	[
		'one that runs is Running and Ready',
		pod(),
		{ instances: [instance('main')] },
		{ phase: 'Running', state: 'running', ready: 'True' },
	],
	[
		'containers wait for init containers',
		initialized,
		{},
		{ phase: 'Pending', state: 'PodInitializing', initialized: 'False' },
	],
	[
		'a failed pull is said with its reason',
		pod(),
		{ images: new Map([['main', { state: 'failed', failure: { ...failure(NOW), reason: 'ImagePullBackOff' } }]]) },
		{ phase: 'Pending', state: 'ImagePullBackOff' },
	],
	[
		'a container that is not ready makes its pod unready, but it runs',
		pod(),
		{ instances: [instance('main')], health: new Map([['main-0', { started: true, ready: false }]]) },
		{ phase: 'Running', state: 'running', ready: 'False' },
	],
	[
		'a container that waits for its restart crash-loops, and its last end is told',
		pod(),
		{ instances: [ended('main', 2, { attempt: 3, backoff: 40 })] },
		{ phase: 'Running', state: 'CrashLoopBackOff', last: 'Error', restarts: 3, ready: 'False' },
	],
	[
		'one that was killed for its memory says so',
		pod({ restartPolicy: 'Never' }),
		{ instances: [ended('main', 137, { oomKilled: true })] },
		{ phase: 'Failed', state: 'OOMKilled' },
	],
	[
		'all ended well is Succeeded',
		pod({ restartPolicy: 'OnFailure' }),
		{ instances: [ended('main', 0)] },
		{ phase: 'Succeeded', state: 'Completed', ready: 'False' },
	],
	[
		'one that could not be started is a StartError of 128',
		pod({ restartPolicy: 'Never' }),
		{ instances: [instance('main', { state: 'failed', exitCode: 128, error: 'no such file' })] },
		{ phase: 'Failed', state: 'StartError' },
	],
	[
		'a failed init container that is not repeated fails the pod',
		pod({ restartPolicy: 'Never', initContainers: [container('a')] }),
		{ instances: [ended('a', 1)] },
		{ phase: 'Failed', state: 'PodInitializing', initialized: 'False' },
	],
	[
		'a pod past its deadline is Failed once it has stopped',
		pod({ activeDeadlineSeconds: 10 }, { status: { startTime: '2024-05-01T11:00:00Z', phase: 'Running' } }),
		{ instances: [ended('main', 143)] },
		{ phase: 'Failed', reason: 'DeadlineExceeded' },
	],
	[
		'but not before',
		pod({ activeDeadlineSeconds: 10 }, { status: { startTime: '2024-05-01T11:00:00Z', phase: 'Running' } }),
		{ instances: [instance('main')] },
		{ phase: 'Running' },
	],
	[
		'the end of a pod is for ever',
		pod({}, { status: { phase: 'Failed', reason: 'Evicted' } }),
		{ sandboxes: [] },
		{ phase: 'Failed', reason: 'Evicted' },
	],
	[
		'a restarted container remembers the one before',
		pod(),
		{ instances: [instance('main', { attempt: 1 }), ended('main', 3)] },
		{ phase: 'Running', state: 'running', last: 'Error', restarts: 1 },
	],
	[
		'and the count of its restarts never goes back, though the engine has lost the newest',
		pod({}, { status: { containerStatuses: [{ ...blank('main'), containerID: 'docker://x', restartCount: 4 }] } }),
		{ instances: [ended('main', 3, { attempt: 3 })] },
		{ restarts: 4 },
	],
	[
		'a pod stays initialized when its sidecar ends, after it or before',
		pod({ restartPolicy: 'Never', initContainers: [container('side', { restartPolicy: 'Always' })] }),
		{ instances: [ended('main', 3), ended('side', 0)] },
		{ phase: 'Failed', initialized: 'True' },
	],
	[
		'a readiness gate without its condition holds the pod back',
		pod({ readinessGates: [{ conditionType: 'lb' }] }),
		{ instances: [instance('main')] },
		{ phase: 'Running', ready: 'False' },
	],
	[
		'and lets it pass with it',
		pod({ readinessGates: [{ conditionType: 'lb' }] }, { status: { conditions: [{ type: 'lb', status: 'True' }] } }),
		{ instances: [instance('main')] },
		{ phase: 'Running', ready: 'True' },
	],
];

for (const [title, given, seen, said] of statuses) {
	test(`status: ${title}`, (t) => {
		const status = podStatus(given, observed(seen), NOW);
		const main = status.containerStatuses?.find(({ name }) => name === 'main');
		const of = (type: string) => status.conditions?.find((condition) => condition.type === type)?.status;
		const all = {
			phase: status.phase,
			reason: status.reason,
			state: main?.state?.running ? 'running' : (main?.state?.waiting?.reason ?? main?.state?.terminated?.reason),
			last: main?.lastState?.terminated?.reason,
			ready: of('Ready'),
			initialized: of('Initialized'),
			restarts: main?.restartCount,
		};
		t.like(all, said);
	});
}

test('status: an image is named by the digest of the repository that it came from, also when its name has moved on', (t) => {
	const unknown: Observed['imageUri'] = (id) => `docker://${id}`;
	const id = (imageUri: Observed['imageUri'], status?: core.PodStatus) =>
		podStatus(pod({}, { status }), observed({ instances: [instance('main')], imageUri }), NOW).containerStatuses?.[0]
			?.imageID;
	t.is(id(unknown), 'docker://sha256:1');
	const known = 'docker-pullable://registry.example.com/i@sha256:2';
	t.is(
		id(() => known),
		known,
	);
	const before = {
		name: 'main',
		image: 'i',
		imageID: known,
		containerID: 'docker://main-0',
		ready: true,
		restartCount: 0,
	};
	t.is(id(unknown, { containerStatuses: [before] }), known);
	t.is(id(unknown, { containerStatuses: [{ ...before, containerID: 'docker://another' }] }), 'docker://sha256:1');
});

test('status: a condition keeps the time of its last change, and others’ conditions stay', (t) => {
	const earlier = '2024-01-01T00:00:00Z';
	const conditions = [
		{ type: 'Ready', status: 'True', lastTransitionTime: earlier },
		{ type: 'ContainersReady', status: 'False', lastTransitionTime: earlier },
		{ type: 'example.com/gate', status: 'True', lastTransitionTime: earlier },
	];
	const status = podStatus(pod({}, { status: { conditions } }), observed({ instances: [instance('main')] }), NOW);
	const time = (type: string) => status.conditions?.find((one) => one.type === type)?.lastTransitionTime;
	t.is(time('Ready'), earlier);
	t.is(time('ContainersReady'), '2024-05-01T12:00:00Z');
	t.is(time('example.com/gate'), earlier);
});
