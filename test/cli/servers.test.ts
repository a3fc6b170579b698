/** Several servers of one cluster, on a real etcd. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { startControlPlane } from '../../src/cli/platform/control-plane.ts';
import { loadKubeconfig, overHttp } from '../../src/client/index.ts';
import { ApiError, ConfigMap, Endpoints, Lease, Namespace } from '../../src/kinds/index.ts';
import { found } from '../client/world.ts';
import { startEtcd } from '../testbed/etcd.ts';
import { silentLog } from '../testbed/silent-log.ts';

const PATIENCE_MS = 120_000;

/** An empty etcd, and servers on it, each with a data directory of its own; all are stopped with the test. */
async function cluster(t: ExecutionContext) {
	t.timeout(4 * PATIENCE_MS);
	const folder = await mkdtemp(join(tmpdir(), 'driftless-servers-'));
	t.teardown(() => rm(folder, { recursive: true, force: true }));
	const etcd = await startEtcd();
	t.teardown(() => etcd.stop());
	const start = async (name: string, advertise: string) => {
		const stop = new AbortController();
		const plane = await startControlPlane({
			dataDir: join(folder, name),
			store: `etcd://${etcd.endpoints.join(',')}`,
			apiAddress: '127.0.0.1',
			apiPort: 0,
			advertise,
			podNetwork: '10.244.0.0/16',
			nodeCidrMaskSize: 24,
			serviceNetwork: '10.96.0.0/12',
			strategy: 'least-allocated',
			log: silentLog,
			signal: stop.signal,
			more: [],
		});
		const running = plane.run();
		let stopped = false;
		const end = async () => {
			if (stopped) return;
			stopped = true;
			stop.abort();
			await Promise.allSettled([running]);
			await plane[Symbol.asyncDispose]();
		};
		t.teardown(end);
		return { plane, running, at: `${advertise}:${plane.port}`, stop: end };
	};
	return { etcd, start };
}

test('servers that have nothing but their etcd in common are one control plane: one leads, the service kubernetes leads to each, and a kubeconfig of any opens all', async (t) => {
	const { start } = await cluster(t);
	// At the same moment, so that each finds the store empty.
	const [first, second] = await Promise.all([start('first', '192.0.2.1'), start('second', '192.0.2.2')]);

	for (const [kubeconfig, port] of [
		[first.plane.kubeconfig, second.plane.port],
		[second.plane.kubeconfig, first.plane.port],
	] as const) {
		const config = { ...(await loadKubeconfig(kubeconfig)), server: `https://127.0.0.1:${port}` };
		await using client = await overHttp(config, 'test');
		t.is((await client.get(Namespace, { name: 'default' })).metadata.name, 'default');
	}

	const leadsTo = async (...servers: string[]) => {
		let seen: string[] = [];
		for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await delay(100)) {
			const object = await found(second.plane.client.get(Endpoints, { name: 'kubernetes', namespace: 'default' }));
			seen = (object?.subsets ?? []).flatMap(({ addresses = [], ports }) =>
				addresses.map(({ ip }) => `${ip}:${ports?.[0]?.port}`),
			);
			if (seen.toSorted().join() === servers.toSorted().join()) return;
		}
		t.deepEqual(seen.toSorted(), servers.toSorted());
	};
	await leadsTo(first.at, second.at);
	const leader = await second.plane.client.get(Lease, { name: 'driftless', namespace: 'kube-system' });
	t.truthy(leader.spec.holderIdentity);
	await first.stop();
	await leadsTo(second.at);
});

test('a server whose etcd has lost what it knew says so and ends, and begins anew with what is there', async (t) => {
	const { etcd, start } = await cluster(t);
	const before = await start('one', '192.0.2.1');
	const map = (name: string) => ({
		apiVersion: 'v1' as const,
		kind: 'ConfigMap' as const,
		metadata: { name, namespace: 'default' },
	});
	// So many that the etcd that is empty does not come as far meanwhile.
	for (let index = 0; index < 500; index++) await before.plane.client.create(ConfigMap, map(`lost-${index}`));
	await etcd.kill(0);
	await etcd.empty(0);
	await etcd.start(0);
	await t.throwsAsync(before.running, { message: /gone back from revision \d+ to \d+: it was restored/ });
	const refused = await t.throwsAsync(before.plane.client.list(ConfigMap), { instanceOf: ApiError });
	t.is(refused?.code, 503, 'nothing is told that is not true any more');
	await before.stop();
	const after = await start('one', '192.0.2.1');
	t.is(await found(after.plane.client.get(ConfigMap, map('lost-0').metadata)), undefined);
	t.is((await after.plane.client.create(ConfigMap, map('new'))).metadata.name, 'new');
	t.is(after.plane.pki.authority.cert, before.plane.pki.authority.cert);
});
