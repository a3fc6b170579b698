/** Devices from the outside: a push that wants one, a plugin that brings it, kubectl that shows it, kills, and a plugin that goes. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { startPlugin } from '../agents/device-plugin.ts';
import { startPlatform } from '../testbed/platform.ts';

const RESOURCE = 'example.com/dongle';
const manifest = (replicas: number) => `
apiVersion: apps/v1
kind: Deployment
metadata: { name: licensed, namespace: default }
spec:
  replicas: ${replicas}
  selector: { matchLabels: { app: licensed } }
  template:
    metadata: { labels: { app: licensed } }
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: main
          image: driftless/example:1
          command: [sleep, "3600"]
          resources: { limits: { ${RESOURCE}: 1 } }
`;

test('a push that wants a device waits for its plugin and says so; kills and a plugin that goes take nothing from who has it', async (t) => {
	t.timeout(600_000);
	await using platform = await startPlatform({ args: ['--push-wait', '1s'] });
	const { folder, kubectl, driftless, until } = platform;
	const clone = join(folder, 'clone');
	await mkdir(clone);
	const git = (...args: string[]) => platform.run('git', args, { cwd: clone });
	await git('init', '-q', '-b', 'main');
	const push = async (replicas: number) => {
		await writeFile(join(clone, 'licensed.yaml'), manifest(replicas));
		await git('add', '-A');
		await git('commit', '-q', '-m', `${replicas} of it`);
		return git('push', (await driftless('remote')).stdout.trim(), 'HEAD:main');
	};
	const status = () => driftless('status');
	const says = (text: string) => until(`status says ${text}`, status, ({ output }) => output.includes(text));
	const containers = async () => {
		const path = 'jsonpath={.items[*].status.containerStatuses[*].containerID}';
		return (await kubectl('get', 'pods', '-l', 'app=licensed', '-o', path)).stdout.split(' ').filter(Boolean);
	};

	await push(1);
	await says(`Insufficient ${RESOURCE}`);
	const plugins = join(platform.dataDir, 'kubelet/device-plugins');
	await using plugin = startPlugin(plugins, RESOURCE, { devices: { a: 'Healthy', b: 'Healthy' } });
	t.is(await plugin.outcome(), undefined);
	await until('its container runs', containers, (found) => found.length === 1);
	await until('it is in sync', status, ({ code, output }) => code === 0 && !output.includes('Insufficient'));
	const described = await kubectl('describe', 'node', 'node-1');
	t.regex(
		described.stdout,
		/Capacity:[\s\S]*example.com\/dongle:\s+2\n[\s\S]*Allocatable:[\s\S]*example.com\/dongle:\s+2\n/,
	);
	t.regex(described.stdout, /Allocated resources:[\s\S]*example.com\/dongle\s+1\s+1\n/);
	const before = await containers();
	t.is(before.length, 1);

	await platform.kill();
	await platform.start();
	t.is(await plugin.outcome(1), undefined);
	await until(
		'the node has its devices again',
		() => kubectl('describe', 'node', 'node-1'),
		({ stdout }) => /Allocatable:[\s\S]*example.com\/dongle:\s+2\n/.test(stdout),
	);
	t.deepEqual(await containers(), before);
	t.is(plugin.asked('Allocate').length, 1);

	await plugin.kill();
	await until(
		'the plugin is gone',
		() => kubectl('describe', 'node', 'node-1'),
		({ stdout }) =>
			/Capacity:[\s\S]*example.com\/dongle:\s+2\n[\s\S]*Allocatable:[\s\S]*example.com\/dongle:\s+0\n/.test(stdout),
	);
	await push(2);
	await says(`Insufficient ${RESOURCE}`);
	t.deepEqual(await containers(), before);
	await using _back = startPlugin(plugins, RESOURCE, { devices: { a: 'Healthy', b: 'Healthy' } });
	const after = await until('both run', containers, (found) => found.length === 2);
	t.true(after.includes(before[0] ?? ''));
});
