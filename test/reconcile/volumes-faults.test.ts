/** What is half done with claims and volumes is done by whoever comes next: answers are lost, and controllers end between any two writes. */
import test from 'ava';
import { type Client, createCache } from '../../src/client/index.ts';
import {
	type Kind,
	type KubeObject,
	PersistentVolume,
	PersistentVolumeClaim,
	Pod,
	StorageClass,
} from '../../src/kinds/index.ts';
import { clusterControllers } from '../../src/reconcile/index.ts';
import { eventually, run, type World, world } from '../client/world.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { addNode, claim, storageClass, volume } from './volume-objects.ts';

const CLAIMS = 6;
const PATIENCE_MS = 120_000;
const ofVolumes: ReadonlySet<string> = new Set(['PersistentVolume', 'PersistentVolumeClaim']);
const kinds = [PersistentVolumeClaim, PersistentVolume, Pod];
const podWith = (name: string): Pod => ({
	apiVersion: 'v1',
	kind: 'Pod',
	metadata: { name, namespace: 'default' },
	spec: {
		terminationGracePeriodSeconds: 0,
		containers: [{ name: 'main', image: 'example' }],
		volumes: [{ name: 'data', persistentVolumeClaim: { claimName: name } }],
	},
});

/** Half of the claims get volumes that are there, half get volumes made, all of them where their pods go. */
async function ask({ client }: World): Promise<void> {
	await client.create(StorageClass, storageClass('made'));
	await client.create(StorageClass, storageClass('there', { provisioner: 'kubernetes.io/no-provisioner' }));
	for (const name of ['n1', 'n2']) await addNode({ client }, name);
	for (let each = 0; each < CLAIMS; each++) {
		const name = `a${each}`;
		const of = each % 2 === 0 ? 'made' : 'there';
		if (of === 'there') await client.create(PersistentVolume, volume(`disk-${each}`, { class: of }));
		await client.create(PersistentVolumeClaim, claim(name, { class: of }));
		await client.create(Pod, podWith(name));
	}
}

/** Every pod has a node, every claim one volume, and no volume is there for nobody. */
const served = (w: World) =>
	eventually(
		w,
		kinds,
		async () => {
			const pods = (await w.client.list(Pod)).items;
			const claims = (await w.client.list(PersistentVolumeClaim)).items;
			return pods.every(({ spec }) => spec.nodeName) && claims.every(({ status }) => status?.phase === 'Bound')
				? claims
				: undefined;
		},
		PATIENCE_MS,
	);

async function check(
	t: Parameters<typeof world>[0],
	w: World,
	claims: readonly PersistentVolumeClaim[],
): Promise<void> {
	const volumes = await eventually(
		w,
		kinds,
		async () => {
			const { items } = await w.client.list(PersistentVolume);
			return items.every(({ status }) => status?.phase === 'Bound') ? items : undefined;
		},
		PATIENCE_MS,
	);
	t.is(volumes.length, CLAIMS, 'none is made twice');
	t.is(new Set(claims.map(({ spec }) => spec.volumeName)).size, CLAIMS, 'none is given twice');
	for (const { metadata, spec } of claims) {
		const its = volumes.find((each) => each.metadata.name === spec.volumeName);
		t.is(its?.spec.claimRef?.uid, metadata.uid, metadata.name);
	}
}

/** All that was made for them goes again, and what was there is released. */
async function leave(t: Parameters<typeof world>[0], w: World): Promise<void> {
	for (let each = 0; each < CLAIMS; each++) {
		await w.client.delete(PersistentVolumeClaim, { namespace: 'default', name: `a${each}` });
		await w.client.delete(Pod, { namespace: 'default', name: `a${each}` }, { gracePeriodSeconds: 0 });
	}
	const left = await eventually(
		w,
		kinds,
		async () => {
			const { items } = await w.client.list(PersistentVolume);
			const claims = (await w.client.list(PersistentVolumeClaim)).items;
			// The directories are for the agent to remove, which is not here.
			const done = items.every(({ metadata, status }) =>
				metadata.name.startsWith('disk-')
					? status?.phase === 'Released'
					: metadata.annotations?.['driftless.io/remove-data'] === metadata.uid,
			);
			return claims.length === 0 && done ? items : undefined;
		},
		PATIENCE_MS,
	);
	t.is(left.length, CLAIMS);
}

test('answers that are lost leave no claim without its volume, and no volume twice', async (t) => {
	const w = await world(t);
	let writes = 0;
	let lost = 0;
	/** Every third answer is lost: the write was made, and its controller does not know. */
	const losing = async <T>(kind: Pick<Kind, 'kind'>, call: Promise<T>): Promise<T> => {
		const answer = await call;
		if (!ofVolumes.has(kind.kind) || ++writes % 3 !== 0) return answer;
		lost++;
		throw new Error('the connection was cut');
	};
	const lossy = (inner: Client): Client => ({
		...inner,
		as: (name) => lossy(inner.as(name)),
		create: (kind, ...rest) => losing(kind, inner.create(kind, ...rest)),
		update: (kind, ...rest) => losing(kind, inner.update(kind, ...rest)),
		patch: (kind, ...rest) => losing(kind, inner.patch(kind, ...rest)),
		delete: (kind, ...rest) => losing(kind, inner.delete(kind, ...rest)),
	});
	const client = lossy(w.client);
	await using cache = createCache(client, { signal: w.signal, log: silentLog });
	run(t, { ...w, client, cache }, clusterControllers());
	await ask(w);
	await check(t, w, await served(w));
	await leave(t, w);
	t.true(lost > 10, `${lost} answers were lost`);
});

test('controllers that end between any two writes leave nothing half done to the next ones', async (t) => {
	const w = await world(t);
	let ends = 0;
	let until = 1;
	/** The next ones, which end after one write more than those before. */
	const next = (): void => {
		let left = until++;
		const stop = new AbortController();
		const dying = (inner: Client): Client => {
			const counted = async <T>(kind: Kind<T & KubeObject>, write: () => Promise<T>): Promise<T> => {
				if (stop.signal.aborted) throw new Error('it has ended');
				const answer = await write();
				if (ofVolumes.has(kind.kind) && --left === 0) {
					ends++;
					stop.abort();
					void running.stop().then(next);
				}
				return answer;
			};
			return {
				...inner,
				as: (name) => dying(inner.as(name)),
				create: (kind, ...rest) => counted(kind as never, () => inner.create(kind, ...rest)),
				update: (kind, ...rest) => counted(kind as never, () => inner.update(kind, ...rest)),
				patch: (kind, ...rest) => counted(kind as never, () => inner.patch(kind, ...rest)),
				delete: (kind, ...rest) => counted(kind as never, () => inner.delete(kind, ...rest)),
			};
		};
		const running = run(t, { ...w, client: dying(w.client) }, clusterControllers());
	};
	await ask(w);
	next();
	await check(t, w, await served(w));
	await leave(t, w);
	t.true(ends >= 5, `they ended ${ends} times`);
});
