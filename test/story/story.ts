/** The whole of it, on real parts: from a fresh data directory to running containers, drift, refusals, roll-backs and a crash. */
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { type Platform, root, startPlatform } from '../testbed/platform.ts';

interface Pod {
	readonly metadata: { readonly name: string; readonly uid: string };
	readonly status: {
		readonly phase: string;
		readonly podIP?: string;
		readonly containerStatuses?: readonly { readonly ready: boolean; readonly restartCount: number }[];
	};
}

export async function story(t: ExecutionContext, store: 'sqlite' | 'etcd'): Promise<void> {
	await using platform = await startPlatform({ store });
	const { folder, kubectl, driftless, until } = platform;
	const clone = join(folder, 'clone');
	const git = async (...args: string[]) => platform.run('git', args, { cwd: clone });
	const push = async (message: string) => {
		await git('add', '-A');
		await git('commit', '-q', '-m', message);
		return git('push', (await driftless('remote')).stdout.trim(), 'HEAD:main');
	};
	const pods = async (namespace = 'guestbook'): Promise<readonly Pod[]> => {
		const { code, stdout } = await kubectl('get', 'pods', '-n', namespace, '-o', 'json');
		return code === 0 ? JSON.parse(stdout).items : [];
	};
	const clocks = async () => (await pods('default')).filter(({ metadata }) => metadata.name === 'clock');
	const running = (count: number) => (all: readonly Pod[]) =>
		all.length === count &&
		all.every(({ status }) => status.phase === 'Running' && status.containerStatuses?.every(({ ready }) => ready));
	const replicas = async () =>
		(await kubectl('get', 'deployment', 'web', '-n', 'guestbook', '-o', 'jsonpath={.spec.replicas}')).stdout;
	const inSync = async () => (await driftless('status')).code === 0;

	await cp(join(root, 'manifests-example'), clone, { recursive: true });
	await platform.run('git', ['init', '-q', '-b', 'main'], { cwd: clone });

	const first = await push('The guest book');
	t.is(first.code, 0, first.output);
	t.regex(first.output, /created +namespace\/guestbook[\s\S]*created +deployment\.apps\/web in guestbook/);
	t.regex(first.output, /converged in [\d.]+ s/);
	t.regex(first.output, /created +deployment\.apps\/greeter in production/, 'what kustomize builds');
	const [pod] = await until('three pods run', () => pods(), running(3));

	const direct = await platform.run('curl', ['-sS', '-m', '5', `http://${pod?.status.podIP}:8080/`]);
	t.regex(direct.stdout, /Guest book/, direct.output);
	const nodePort = await until(
		'the node port answers',
		() => platform.run('curl', ['-sS', '-m', '5', 'http://127.0.0.1:30080/']),
		({ stdout }) => /Guest book/.test(stdout),
	);
	t.is(nodePort.code, 0);
	// It starts beside the pods, and may come after them.
	await until(
		'cluster DNS answers',
		() => platform.run('busybox', ['nslookup', 'web.guestbook.svc.cluster.local', '10.96.0.10']),
		({ code }) => code === 0,
	);
	const inside = await kubectl(
		'exec',
		'-n',
		'guestbook',
		`pod/${pod?.metadata.name}`,
		'--',
		'wget',
		'-qO-',
		'http://web.guestbook',
	);
	t.regex(inside.stdout, /Guest book/, inside.output);
	t.regex((await kubectl('logs', 'clock')).stdout, /UTC/);

	// A container is killed by hand: it comes back in its place.
	const { Id } =
		(await platform.engine.docker.listContainers()).find(({ Names }) => Names[0]?.startsWith('/k8s_clock_')) ?? {};
	await platform.engine.docker.getContainer(Id ?? '').remove({ force: true });
	await until(
		'the container is restarted',
		clocks,
		([clock]) => clock?.status.containerStatuses?.[0]?.restartCount === 1 && clock.status.containerStatuses[0].ready,
	);

	// Drift: shown to the field, with who and where; then healed.
	await kubectl('scale', 'deployment/web', '-n', 'guestbook', '--replicas=5');
	const drifted = await until(
		'status shows the drift',
		() => driftless('status'),
		({ stdout }) => stdout.includes('.spec.replicas'),
	);
	t.is(drifted.code, 1);
	t.regex(drifted.stdout, /\.spec\.replicas: 5 live, 3 desired, set by kubectl .*\(guestbook\/web\.yaml:9:3\)/);
	await until('the drift is healed', replicas, (count) => count === '3');
	await until('all is in sync', inSync, Boolean);
	await until('the pods too many are gone', () => pods(), running(3));
	t.regex((await driftless('status')).stdout, /healed .*\.spec\.replicas/);

	// As `kubectl edit` does: a patch of what the editor left.
	await kubectl(
		'patch',
		'configmap',
		'page',
		'-n',
		'guestbook',
		'--type=merge',
		'-p',
		'{"data":{"index.html":"defaced"}}',
	);
	const defaced = await until(
		'diff shows both sides',
		() => driftless('diff', '--exit-code'),
		({ code }) => code === 1,
	);
	t.regex(defaced.stdout, /\.data\.index\.html[\s\S]*- "defaced"[\s\S]*\+ "<!doctype html>/);
	await until(
		'the page is healed',
		() => kubectl('get', 'configmap', 'page', '-n', 'guestbook', '-o', 'yaml'),
		({ stdout }) => !stdout.includes('defaced'),
	);

	// A broken push is refused, and nothing of it happens.
	const web = join(clone, 'guestbook/web.yaml');
	const good = await readFile(web, 'utf8');
	await writeFile(web, good.replace('replicas: 3', 'replicas: three'));
	const refused = await push('Three of them');
	t.not(refused.code, 0);
	t.regex(refused.output, /guestbook\/web\.yaml:9:3: spec\.replicas: expected an integer, got the string "three"/);
	t.is(await replicas(), '3');
	await git('reset', '-q', '--hard', 'HEAD~1');

	// A change, its revert, and a file that is removed.
	await writeFile(web, good.replace('replicas: 3', 'replicas: 2'));
	const changed = await push('Two are enough');
	t.regex(changed.output, /configured deployment\.apps\/web in guestbook/);
	await until('two pods run', () => pods(), running(2));
	await git('revert', '--no-edit', 'HEAD');
	t.is((await git('push', (await driftless('remote')).stdout.trim(), 'HEAD:main')).code, 0);
	await until('three pods run again', () => pods(), running(3));
	await rm(join(clone, 'single-pod.yaml'));
	const pruned = await push('No clock');
	t.regex(pruned.output, /pruned +pod\/clock in default/);
	await until('the clock is gone', clocks, (all) => all.length === 0);
	t.regex((await driftless('history')).stdout, /\n0 +[0-9a-f]{7}/);

	// Killed in the middle of a sync: what runs goes on, and after the next start all converges.
	await until('all is in sync', inSync, Boolean);
	const before = new Set((await pods()).map(({ metadata }) => metadata.uid));
	const many = join(clone, 'many');
	await mkdir(many);
	for (let index = 0; index < 200; index++)
		await writeFile(
			join(many, `${index}.yaml`),
			`apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: many-${index}\n  namespace: guestbook\ndata:\n  index: "${index}"\n`,
		);
	await git('add', '-A');
	await git('commit', '-q', '-m', 'Many');
	const url = (await driftless('remote')).stdout.trim();
	const pushing = git('push', url, 'HEAD:main');
	await until(
		'some of it is there',
		async () => (await kubectl('get', 'configmaps', '-n', 'guestbook', '-o', 'name')).stdout,
		(names) => names.includes('many-'),
	);
	await platform.kill();
	await pushing;
	await platform.start();
	await until(
		'all of it is there',
		async () =>
			(await kubectl('get', 'configmaps', '-n', 'guestbook', '-o', 'name')).stdout
				.split('\n')
				.filter((name) => name.includes('many-')).length,
		(count) => count === 200,
	);
	await until('all is in sync', inSync, Boolean);
	t.deepEqual(new Set((await pods()).map(({ metadata }) => metadata.uid)), before, 'the pods lived through it');
	t.true(
		(await pods()).every(({ status }) => status.containerStatuses?.every(({ restartCount }) => restartCount === 0)),
		'and no container was started twice',
	);
	if (platform.etcd) await outage(t, platform);
	t.regex(
		(await driftless('down')).stderr,
		/another driftless serves/,
		'nothing is torn down under a running platform',
	);
	t.is(await platform.stop(), 0);
	t.true((await platform.engine.docker.listContainers()).length > 0, 'containers outlive the platform');
	const down = await driftless('down', '--node-name', 'node-1');
	t.is(down.code, 0, down.output);
	t.deepEqual(await platform.engine.docker.listContainers({ all: true }), []);
}

/** The store goes away and comes back. */
async function outage(t: ExecutionContext, { etcd, kubectl, until, driftless }: Platform): Promise<void> {
	await etcd?.kill();
	t.not(
		(await kubectl('create', 'namespace', 'later', '--request-timeout=5s')).code,
		0,
		'nothing is acknowledged without a store',
	);
	await etcd?.start();
	await until(
		'writes are taken again',
		() => kubectl('create', 'namespace', 'later'),
		({ code, stderr }) => code === 0 || stderr.includes('already exists'),
	);
	await kubectl('scale', 'deployment/web', '-n', 'guestbook', '--replicas=4');
	await until(
		'drift is still seen and healed',
		async () =>
			(await kubectl('get', 'deployment', 'web', '-n', 'guestbook', '-o', 'jsonpath={.spec.replicas}')).stdout,
		(count) => count === '3',
	);
	await until(
		'all is in sync',
		async () => (await driftless('status')).code,
		(code) => code === 0,
	);
}
