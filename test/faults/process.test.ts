import { cp, lstat, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import test, { type ExecutionContext } from 'ava';
import { stopDns } from '../../src/proxy/index.ts';
import { type Result, root } from '../testbed/platform.ts';
import { configMap, inSync, noStack, pod, startWorld, succeeds, times, type World } from './world.ts';

let world: World;
/** The data directory as a good start left it: each fault begins from it. */
let good: string;

test.before(async () => {
	world = await startWorld();
	await world.push({ 'a.yaml': configMap('a') });
	await world.status('all is in sync', inSync);
	await world.stop();
	good = join(world.folder, 'good');
	// Cluster DNS goes on, and has a socket there, which cannot be copied.
	await cp(world.dataDir, good, { recursive: true, filter: async (path) => !(await lstat(path)).isSocket() });
});

test.beforeEach(async () => {
	await world.kill();
	// It goes on without `up`, and writes there.
	await stopDns(at('dns'));
	await rm(world.dataDir, { recursive: true });
	await cp(good, world.dataDir, { recursive: true });
});

test.after.always(() => world[Symbol.asyncDispose]());

const at = (...path: string[]) => join(world.dataDir, ...path);
const up = (...args: string[]): Promise<Result> =>
	world.run('timeout', ['60', join(root, 'bin/driftless'), 'up', '--advertise-address', world.engine.address, ...args]);

/** It ends by itself, with status 2 and one line that says what, where and what to do. */
async function refuses(t: ExecutionContext, message: RegExp, ...args: string[]): Promise<void> {
	const { code, stdout, stderr } = await up(...args);
	t.is(code, 2, `${stdout}${stderr}`);
	t.is(stdout, '');
	t.is(stderr.trim().split('\n').length, 1, stderr);
	t.regex(stderr, message);
}

/** When the cause is gone the same command runs, and nothing is lost. */
async function goesOn(t: ExecutionContext): Promise<void> {
	await world.start();
	await world.status('all is in sync', inSync);
	t.is((await world.kubectl('get', 'configmap', 'a', '-o', 'jsonpath={.data.key}')).stdout, '1');
	t.true(noStack(world.printed()), world.printed());
}

test.serial(
	'a port that is taken is named with the option that chooses another, and nothing stays behind',
	async (t) => {
		for (const [port, message] of [
			[6443, /0\.0\.0\.0:6443 is taken by another program; stop it, or choose another with --api-port/],
			[7080, /port 7080 on 127\.0\.0\.1 is in use by another program: .*--http-port PORT/],
		] as const) {
			const other = world.run('timeout', [
				'120',
				'node',
				'-e',
				`require('net').createServer().listen(${port}, '0.0.0.0')`,
			]);
			await world.until(
				'the other program listens',
				() => world.run('ss', ['-ltnH', `sport = :${port}`]),
				({ stdout }) => stdout !== '',
			);
			await refuses(t, message);
			await world.run('sh', ['-c', `kill $(ss -ltnpH 'sport = :${port}' | sed 's/.*pid=\\([0-9]*\\).*/\\1/')`]);
			await other;
		}
		await goesOn(t);
	},
);

test.serial('an agent whose port is taken says so once, and starts when it is free', async (t) => {
	await rm(world.dataDir, { recursive: true });
	const other = world.run('timeout', ['120', 'node', '-e', "require('net').createServer().listen(10250, '0.0.0.0')"]);
	await world.until(
		'the other program listens',
		() => world.run('ss', ['-ltnH', 'sport = :10250']),
		({ stdout }) => stdout !== '',
	);
	await world.start();
	await world.until(
		'it is said',
		async () => world.printed(),
		(printed) => /the node agent cannot run: .*10250.*; it is tried again until it can/.test(printed),
	);
	const { stdout } = await world.status('the status says so', ({ stdout }) => stdout.includes('! node'));
	t.regex(stdout, /^! node node-1 has not been ready for \S+: the node agent cannot run: .*10250/m);
	await world.run('sh', ['-c', "kill $(ss -ltnpH 'sport = :10250' | sed 's/.*pid=\\([0-9]*\\).*/\\1/')"]);
	await other;
	await world.until(
		'the node is ready',
		() => world.kubectl('get', 'nodes'),
		({ stdout }) => / Ready /.test(stdout),
	);
	t.is(times(world.printed(), 'the node agent cannot run'), 1, world.printed());
});

test.serial('a second `up` on the same data directory names the first and leaves it alone', async (t) => {
	await world.start();
	await refuses(
		t,
		/another driftless serves the data directory \S+ \(process \d+\); stop it first, or name another directory/,
		'--api-port=6444',
		'--http-port=7081',
	);
	succeeds(t, await world.kubectl('get', 'configmap', 'a'));
	succeeds(t, await world.push({ 'b.yaml': configMap('b') }));
});

test.serial('a data directory of a newer version, or of another program, is refused and left as it is', async (t) => {
	await writeFile(at('format'), '7\n');
	await refuses(t, /data directory \S+ has format 7, written by a newer driftless; this version reads formats up to 1/);
	await writeFile(at('format'), 'what is this\n');
	await refuses(t, /format does not say a format: it holds "what is this\\n"/);
	await writeFile(at('format'), '1\n');
	const version = (version: number) => {
		using database = new DatabaseSync(at('store', 'driftless.db'));
		const before = Number(database.prepare('PRAGMA user_version').get()?.user_version);
		database.exec(`PRAGMA user_version=${version}`);
		return before;
	};
	const before = version(99);
	await refuses(t, /driftless\.db has schema version 99, but this driftless knows versions up to \d+: run the newer/);
	version(before);
	await goesOn(t);
});

test.serial('damaged files are named; what can be made anew is', async (t) => {
	await writeFile(at('store', 'driftless.db'), Buffer.alloc(100_000, 'not a database'));
	await rm(at('store', 'driftless.db-wal'), { force: true });
	await refuses(
		t,
		/store\/driftless\.db is damaged .*: restore it from a backup, or move it away to start anew from git/,
	);
	await cp(join(good, 'store'), at('store'), { recursive: true });

	await writeFile(at('git', 'token'), 'short\n');
	await refuses(t, /git\/token is shorter than 16 characters: delete the file, and a new one is made/);
	await rm(at('git', 'token'));

	await writeFile(at('pki', 'ca.crt'), 'damaged');
	await refuses(
		t,
		/certificate authority in \S+pki cannot be used: ca\.crt is no certificate in PEM\. Restore ca\.crt/,
	);
	await cp(join(good, 'pki'), at('pki'), { recursive: true });

	// What only this process uses, and what it can sign again, is no reason to stop.
	await writeFile(at('pki', 'apiserver.crt'), 'damaged');
	await writeFile(at('pki', 'admin.key'), '');
	await writeFile(at('running.json'), '{');
	await writeFile(at('kubeconfig'), 'damaged');
	await writeFile(at('tokens'), 'no token at all\n');
	await goesOn(t);
	await world.run('curl', ['-sk', '-H', 'Authorization: Bearer x', 'https://127.0.0.1:6443/api']);
	succeeds(t, await world.push({ 'a.yaml': configMap('a', '1') }), 'the new token is in the URL');

	const asked = (token: string) =>
		world.run('curl', ['-sk', '-H', `Authorization: Bearer ${token}`, 'https://127.0.0.1:6443/api/v1/pods']);
	await writeFile(at('tokens'), 'right,ann,1,system:masters\nno token at all\n');
	const faulty = 'line 2 of the tokens is not of the form token,user,uid,"group1,group2"';
	await world.until(
		'the line is named',
		async () => [await asked('right'), world.printed()] as const,
		([, printed]) => printed.includes(JSON.stringify(faulty)),
	);
	await writeFile(at('tokens'), 'right,ann,1,system:masters\n');
	await world.until(
		'the mended file counts',
		() => asked('right'),
		({ stdout }) => stdout.includes('PodList'),
	);
	t.is(times(world.printed(), 'the token file cannot be read'), 2, 'one line for each fault');
});

test.serial('a data directory that cannot be written, or is none, is named', async (t) => {
	await writeFile(join(world.folder, 'file'), '');
	await refuses(t, /data directory \S+\/file cannot be made: /, `--data-dir=${join(world.folder, 'file')}`);
	await refuses(
		t,
		/data directory \S+\/file\/data cannot be made: ENOTDIR/,
		`--data-dir=${join(world.folder, 'file', 'data')}`,
	);
	await world.run('mount', ['--bind', world.dataDir, world.dataDir]);
	await world.run('mount', ['-o', 'remount,ro,bind', world.dataDir]);
	try {
		await refuses(t, /data directory \S+\/data cannot be written: EROFS.*; name another with --data-dir/);
	} finally {
		await world.run('umount', [world.dataDir]);
	}
	await refuses(t, /"mysql:\/\/x" names no store: use "sqlite", or "etcd:/, '--store=mysql://x');
	await refuses(t, /--watch and --repo are two sources/, '--watch=.', '--repo=http://example.com/x.git');
	await goesOn(t);
});

test.serial(
	'killed right after a push was accepted, it ends converged; killed before, nothing of the push counts',
	async (t) => {
		await world.start();
		const many = (value: string) =>
			Object.fromEntries(
				Array.from({ length: 100 }, (_, index) => [`many/${index}.yaml`, configMap(`m${index}`, value)]),
			);
		succeeds(t, await world.push(many('1')));
		const values = async () => {
			const { stdout } = await world.kubectl('get', 'configmap', '-o', 'jsonpath={range .items[*]}{.data.key} {end}');
			return [...new Set(stdout.split(' ').filter(Boolean))].sort();
		};
		// Some moments of a push: while git still sends, while it is checked, while it is applied.
		for (const [round, moment] of ['Writing objects', 'is valid', 'configured'].entries()) {
			const value = `round-${round}`;
			await world.write(many(value));
			await world.git('add', '--all');
			await world.git('commit', '--quiet', '--message', value);
			const remote = (await world.driftless('remote')).stdout.trim();
			const push = world.run(
				'sh',
				[
					'-c',
					`git push --progress ${remote} HEAD:main 2>&1 | while read -r line; do echo "$line"; case "$line" in *'${moment}'*) kill -9 "$UP" 2>/dev/null;; esac; done`,
				],
				{ cwd: world.clone, env: { UP: String(JSON.parse(await readFile(at('running.json'), 'utf8')).pid) } },
			);
			const { output } = await push;
			await world.start();
			const accepted = (await world.git('ls-remote', (await world.driftless('remote')).stdout.trim(), 'main')).stdout;
			const head = (await world.git('rev-parse', 'HEAD')).stdout.trim();
			const whole = accepted.startsWith(head) ? value : round === 0 ? '1' : `round-${round - 1}`;
			await world.status('all is in sync', inSync);
			t.deepEqual(await values(), [...new Set(['1', whole])], output);
			succeeds(t, await world.push(), 'and the next push goes on');
			await world.until('all of it is there', values, (seen) => seen.join() === ['1', value].join());
		}
	},
);

test.serial(
	'an engine of its own is tried until it starts, outlives `up`, and is revived when it is killed',
	async (t) => {
		await using own = await startWorld({ stopped: true, env: { DOCKER_HOST: '' } });
		try {
			// The machine's own engine is not there: `up` brings one.
			await own.engine.kill();
			const obstacle = join(own.dataDir, 'docker', 'containers');
			await mkdir(join(own.dataDir, 'docker'), { recursive: true });
			await writeFile(obstacle, 'a file where a folder belongs');
			await own.start();
			const lost = /the node agent cannot run: dockerd has ended at its start: .*; it is tried again until it can/;
			await own.until(
				'it says why it has no engine',
				async () => own.printed(),
				(printed) => lost.test(printed),
			);
			await own.until(
				'it has tried again',
				() => readFile(join(own.dataDir, 'docker', 'dockerd.log'), 'utf8'),
				(log) => times(log, 'failed to start daemon') > 1,
			);
			await rm(obstacle);
			// Absent for the moment between two of them.
			const dockerd = () => readFile(join(own.dataDir, 'docker', 'dockerd.pid'), 'utf8').catch(() => '');
			await own.push({ 'pod.yaml': pod('sleeper') });
			const sleeper = async () =>
				(
					await own.kubectl(
						'get',
						'pod',
						'sleeper',
						'-o',
						'jsonpath={.status.phase} {.status.containerStatuses[0].containerID}',
					)
				).stdout;
			const before = await own.until('the pod runs', sleeper, (seen) => seen.startsWith('Running docker://'));
			for (const once of ['starting a container engine (dockerd)', 'the node agent cannot run', 'dockerd has ended'])
				t.is(times(own.printed(), once), 1, own.printed());
			const first = await dockerd();
			await own.kill();
			await own.start();
			t.is(await dockerd(), first, 'it is found again');
			process.kill(Number(first), 'SIGKILL');
			await own.until('another is started', dockerd, (pid) => pid !== first && pid !== '');
			await own.until(
				'the node is ready',
				() => own.kubectl('get', 'nodes'),
				({ stdout }) => / Ready /.test(stdout),
			);
			await own.until(
				'commands run in the pod',
				() => own.kubectl('exec', 'sleeper', '--', 'true'),
				({ code }) => code === 0,
			);
			t.is(await sleeper(), before, 'its container never stopped');
		} finally {
			await own.stop();
			// The data directory knows its node, whose name is not that of this machine.
			const { code, output } = await own.run(join(root, 'bin/driftless'), ['down'], { env: { DOCKER_HOST: '' } });
			t.is(code, 0, output);
			t.regex(output, /^removed 2 containers$/m);
			t.regex(output, /^stopped the container engine$/m);
			// There is nothing left to look for.
			const again = await own.run(join(root, 'bin/driftless'), ['down'], { env: { DOCKER_HOST: '' } });
			t.is(again.code, 0, again.output);
			t.notRegex(again.output, /container/);
			t.regex(again.output, /`driftless up` starts everything again$/m);
			// Nothing of the engine is in its way, though it was killed.
			await rm(own.dataDir, { recursive: true });
		}
	},
);

test.serial('the names of the cluster are answered while driftless is dead, and when it is back', async (t) => {
	await world.start();
	const name = () => world.run('busybox', ['nslookup', 'kubernetes.default.svc.cluster.local', '10.96.0.10']);
	const found = ({ stdout }: Result) => /Address:? *(?:1: )?10\.96\.0\.1\b/.test(stdout);
	await world.until('the name of the API', name, found);
	await world.kill();
	for (let i = 0; i < 20; i++) {
		const answer = await name();
		t.true(found(answer), `${answer.stdout}${answer.stderr}`);
	}
	await goesOn(t);
	t.true(found(await name()));
});
