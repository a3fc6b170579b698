import test from 'ava';
import type { KubeObject, Pod } from '../../src/kinds/index.ts';
import { causeOf } from '../../src/sync/index.ts';

const object = (kind: string, name: string, owner?: string): KubeObject => ({
	apiVersion: kind === 'Pod' ? 'v1' : 'apps/v1',
	kind,
	metadata: {
		name,
		uid: name,
		ownerReferences: owner ? [{ apiVersion: 'apps/v1', kind: 'X', name: owner, uid: owner }] : undefined,
	},
});
const pod = (name: string, owner: string | undefined, status: Pod['status']): Pod => ({
	...(object('Pod', name, owner) as Pod),
	spec: { containers: [{ name: 'main', image: 'x' }] },
	status,
});
const waiting = (reason: string, message: string): Pod['status'] => ({
	phase: 'Pending',
	containerStatuses: [
		{ name: 'main', image: 'x', imageID: '', ready: false, restartCount: 0, state: { waiting: { reason, message } } },
	],
});
const unscheduled: Pod['status'] = {
	phase: 'Pending',
	conditions: [{ type: 'PodScheduled', status: 'False', message: '0/1 nodes are available' }],
};
const web = object('Deployment', 'web');
const set = object('ReplicaSet', 'web-1', 'web');

const cases: Record<string, [of: KubeObject, all: KubeObject[], cause: string | undefined]> = {
	'a pod two below whose image is not there': [
		web,
		[set, pod('web-1-a', 'web-1', waiting('ErrImagePull', 'not found'))],
		'pod/web-1-a: main: not found',
	],
	'a pod that fits nowhere': [web, [set, pod('web-1-a', 'web-1', unscheduled)], 'pod/web-1-a: 0/1 nodes are available'],
	'a pod that is on its way is no trouble': [
		web,
		[set, pod('web-1-a', 'web-1', waiting('ContainerCreating', ''))],
		undefined,
	],
	'nor is one that is going': [
		web,
		[
			set,
			{
				...pod('a', 'web-1', unscheduled),
				metadata: { ...pod('a', 'web-1', unscheduled).metadata, deletionTimestamp: '2026-01-01T00:00:00Z' },
			},
		],
		undefined,
	],
	'the pods of others are theirs': [web, [set, pod('b', 'other', unscheduled)], undefined],
	'a pod itself says what its health does not': [pod('alone', undefined, unscheduled), [], '0/1 nodes are available'],
	'and not again what its health says': [pod('alone', undefined, waiting('ErrImagePull', 'not found')), [], undefined],
	'owners in a circle end': [
		object('ReplicaSet', 'a', 'b'),
		[object('ReplicaSet', 'a', 'b'), object('ReplicaSet', 'b', 'a')],
		undefined,
	],
};
for (const [what, [of, all, cause]] of Object.entries(cases))
	test(`what an object's pods say: ${what}`, (t) => {
		const owned = (uid: string) =>
			all.filter(({ metadata }) => metadata.ownerReferences?.some((each) => each.uid === uid));
		t.is(causeOf(of, owned), cause);
	});
