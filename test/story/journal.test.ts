/** The example of a StatefulSet and a DaemonSet, pushed to a real platform with real containers, which is killed in between. */
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { root, startPlatform } from '../testbed/platform.ts';

interface Pod {
	readonly metadata: { readonly name: string; readonly uid: string };
	readonly spec: { readonly containers: readonly { readonly image: string }[] };
	readonly status: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

test('a push brings pods with names and claims of their own, which outlive a rollout, kills, and scaling', async (t) => {
	await using platform = await startPlatform();
	const { folder, kubectl, driftless, until } = platform;
	const clone = join(folder, 'clone');
	const git = async (...args: string[]) => platform.run('git', args, { cwd: clone });
	const push = async (message: string) => {
		await git('add', '-A');
		await git('commit', '-q', '-m', message);
		return git('push', (await driftless('remote')).stdout.trim(), 'HEAD:main');
	};
	const pods = async (label: string): Promise<readonly Pod[]> => {
		const { code, stdout } = await kubectl('get', 'pods', '-n', 'journal', '-l', `app=${label}`, '-o', 'json');
		return code === 0 ? JSON.parse(stdout).items : [];
	};
	const ready = (names: string) => (all: readonly Pod[]) =>
		all
			.map(({ metadata }) => metadata.name)
			.sort()
			.join() === names &&
		all.every(({ status }) => status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True'));
	/** What is written in the journal of an ordinal, one line for each beginning of its pod. */
	const lines = async (ordinal: number) =>
		(
			await kubectl('exec', '-n', 'journal', `journal-${ordinal}`, '-c', 'httpd', '--', 'cat', '/journal/index.html')
		).stdout
			.trim()
			.split('\n');

	await cp(join(root, 'manifests-example/journal'), clone, { recursive: true });
	await platform.run('git', ['init', '-q', '-b', 'main'], { cwd: clone });
	const first = await push('A journal');
	t.is(first.code, 0, first.output);
	t.regex(first.output, /created +statefulset\.apps\/journal in journal/);
	t.regex(first.output, /converged in [\d.]+ s/);
	await until('the pods are ready', () => pods('journal'), ready('journal-0,journal-1'));
	t.is((await pods('load')).length, 1);
	await until(
		'the daemon tells the load of its node',
		async () => (await kubectl('logs', '-n', 'journal', '-l', 'app=load')).stdout,
		(text) => /^node-1: \d/.test(text),
	);
	const named = await until(
		'the second pod is found by its name, from the first',
		() =>
			kubectl(
				'exec',
				'-n',
				'journal',
				'journal-0',
				'-c',
				'httpd',
				'--',
				'wget',
				'-qO-',
				'http://journal-1.journal:8080/',
			),
		({ code }) => code === 0,
	);
	t.regex(named.stdout, /^journal-1 began/);
	t.is(
		(await kubectl('exec', '-n', 'journal', 'journal-1', '-c', 'httpd', '--', 'hostname')).stdout.trim(),
		'journal-1',
	);

	// A rollout, in the middle of which the platform is killed.
	const file = join(clone, 'pages.yaml');
	const good = await readFile(file, 'utf8');
	await writeFile(
		file,
		good.replace('        app: journal\n    spec:', '        app: journal\n        edition: second\n    spec:'),
	);
	const pushing = push('The second edition');
	const before = await pods('journal');
	await until(
		'the last pod goes',
		() => pods('journal'),
		(all) => !all.some(({ metadata }) => metadata.uid === before[1]?.metadata.uid),
	);
	await platform.kill();
	await pushing;
	await platform.start();
	await until(
		'the rollout is done',
		async () => (await kubectl('rollout', 'status', 'sts/journal', '-n', 'journal', '--timeout=60s')).stdout,
		(text) => /roll out complete: 2 new pods|rolling update complete/.test(text),
	);
	const second = await until('the pods are ready again', () => pods('journal'), ready('journal-0,journal-1'));
	t.true(second.every(({ metadata }) => before.every((each) => each.metadata.uid !== metadata.uid)));
	for (const ordinal of [0, 1]) {
		const written = await lines(ordinal);
		t.is(written.length, 2, `each pod of the ordinal has written once: ${written.join('; ')}`);
		t.true(written.every((line) => line.startsWith(`journal-${ordinal} began`)));
	}

	// Scaled away and back by a push: the claim, and what is in it, are still there.
	await writeFile(file, (await readFile(file, 'utf8')).replace('replicas: 2', 'replicas: 1'));
	t.is((await push('One is enough')).code, 0);
	await until('one is left', () => pods('journal'), ready('journal-0'));
	await writeFile(file, (await readFile(file, 'utf8')).replace('replicas: 1', 'replicas: 2'));
	t.is((await push('Two again')).code, 0);
	await until('both are there', () => pods('journal'), ready('journal-0,journal-1'));
	t.is((await lines(1)).length, 3);
	// No container is there twice.
	const containers = await platform.engine.docker.listContainers({
		filters: { label: ['io.kubernetes.pod.namespace=journal'] },
	});
	const names = containers
		.map(({ Labels }) => `${Labels['io.kubernetes.pod.name']}/${Labels['io.kubernetes.container.name']}`)
		.filter((name) => name.startsWith('journal-') && name.endsWith('/httpd'));
	t.deepEqual(names.sort(), ['journal-0/httpd', 'journal-1/httpd']);

	// A template that cannot work is named by status, and mended by the next push.
	const works = await readFile(file, 'utf8');
	await writeFile(
		file,
		works.replace(
			'command: ["/bin/sh", "-c", "trap exit TERM; httpd',
			'command: ["/bin/no", "-c", "trap exit TERM; httpd',
		),
	);
	const bad = push('It cannot work');
	await until(
		'status names the trouble',
		() => driftless('status'),
		({ stdout }) => /StatefulSet\.apps journal\/journal: .*pod journal-1: /.test(stdout),
	);
	await writeFile(file, works);
	t.is((await push('It works')).code, 0);
	await bad;
	const mended = await until('all are well', () => pods('journal'), ready('journal-0,journal-1'));
	t.is(mended.length, 2);
	const status = await until(
		'status says so',
		() => driftless('status'),
		({ code }) => code === 0,
	);
	t.is(status.code, 0);
});
