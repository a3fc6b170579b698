/** What people do to claims, volumes and classes with the real kubectl, against the real API over HTTPS; only the nodes are played. */
import test, { type ExecutionContext } from 'ava';
import { createCache, inProcess } from '../../src/client/index.ts';
import { clusterControllers, runControllers } from '../../src/reconcile/index.ts';
import { admin, serveTestApi } from '../testbed/api.ts';
import { kubectl as connect } from '../testbed/kubectl.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { addNode, claim, volume } from './volume-objects.ts';

async function start(t: ExecutionContext) {
	const server = await serveTestApi();
	const stop = new AbortController();
	const { signal } = stop;
	const client = inProcess(server.api, admin);
	const cache = createCache(client, { signal, log: silentLog });
	const running = runControllers({
		client,
		cache,
		controllers: clusterControllers(),
		log: silentLog,
		now: Date.now,
		signal,
	});
	const kubectl = connect(server.kubeconfig);
	t.teardown(async () => {
		kubectl[Symbol.dispose]();
		stop.abort();
		await running;
		await cache[Symbol.asyncDispose]();
		await server[Symbol.asyncDispose]();
	});
	const apply = (object: object) => kubectl.ok('apply', '-f', '-', { input: JSON.stringify(object) });
	return { kubectl: (line: string) => kubectl.ok(...line.split(' ')), apply, run: kubectl, client };
}

test('kubectl: claims, volumes and classes are applied, listed, described, waited for and deleted', async (t) => {
	const { kubectl, apply, client } = await start(t);
	await addNode({ client }, 'n1');
	await apply(volume('disk', { size: '5Gi' }));
	await kubectl('wait --for=jsonpath={.status.phase}=Available pv/disk --timeout=60s');
	t.regex(
		await kubectl('get pv'),
		/^NAME +CAPACITY +ACCESS MODES +RECLAIM POLICY +STATUS +CLAIM +STORAGECLASS +VOLUMEATTRIBUTESCLASS +REASON +AGE\ndisk +5Gi +RWO +Retain +Available +<unset> +\d+s\n$/,
	);
	await apply(claim('data', { class: '', size: '2Gi' }));
	await kubectl('wait --for=jsonpath={.status.phase}=Bound pvc/data --timeout=60s');
	t.regex(
		await kubectl('get pvc'),
		/^NAME +STATUS +VOLUME +CAPACITY +ACCESS MODES +STORAGECLASS +VOLUMEATTRIBUTESCLASS +AGE\ndata +Bound +disk +5Gi +RWO +<unset> +\d+s\n$/,
	);
	t.regex(await kubectl('get pvc -o wide'), /VOLUMEMODE\n.* Filesystem\n$/);
	t.regex(await kubectl('get pv disk'), / Bound +default\/data /);
	t.regex(
		await kubectl('describe pvc data'),
		/Status: +Bound\nVolume: +disk\n[\s\S]*Capacity: +5Gi\nAccess Modes: +RWO\nVolumeMode: +Filesystem\nUsed By: +<none>/,
	);
	t.regex(await kubectl('describe pv disk'), /Claim: +default\/data\nReclaim Policy: +Retain\n[\s\S]*Type: +HostPath/);
	t.regex(
		await kubectl('get sc'),
		/^NAME +PROVISIONER +RECLAIMPOLICY +VOLUMEBINDINGMODE +ALLOWVOLUMEEXPANSION +AGE\nstandard \(default\) +driftless.io\/local +Delete +WaitForFirstConsumer +true +\d+s\n$/,
	);
	t.regex(await kubectl('describe sc standard'), /IsDefaultClass: +Yes[\s\S]*Provisioner: +driftless.io\/local/);

	await apply(claim('late'));
	await kubectl('wait --for=jsonpath={.spec.storageClassName}=standard pvc/late --timeout=60s');
	t.regex(await kubectl('get pvc late'), /late +Pending +standard +<unset>/);
	await kubectl('delete pvc data --timeout=60s');
	await kubectl('wait --for=jsonpath={.status.phase}=Released pv/disk --timeout=60s');
	await kubectl('delete pv disk --timeout=60s');
	t.is(await kubectl('get pv -o name'), '');
});

test('kubectl: what a claim or a volume may not become is refused, with its field', async (t) => {
	const { apply, run } = await start(t);
	await apply(claim('data', { class: '' }));
	const smaller = await run('patch', 'pvc', 'data', '-p', '{"spec":{"volumeMode":"Block"}}');
	t.regex(
		smaller.stderr,
		/PersistentVolumeClaim "data" is invalid: spec: Forbidden: spec is immutable after creation except resources\.requests/,
	);
	await apply(volume('disk'));
	const moved = await run('patch', 'pv', 'disk', '-p', '{"spec":{"hostPath":{"path":"/srv/other"}}}');
	t.regex(
		moved.stderr,
		/PersistentVolume "disk" is invalid: spec\.persistentvolumesource: Forbidden: spec\.persistentvolumesource is immutable after creation/,
	);
	const climbing = await run('apply', '-f', '-', {
		input: JSON.stringify(volume('up', { spec: { hostPath: { path: '/srv/../etc' } } })),
	});
	t.regex(climbing.stderr, /spec\.hostPath\.path: Invalid value: "\/srv\/\.\.\/etc": must not contain '\.\.'/);
});
