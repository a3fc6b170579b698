/** status, diff, sync and their like as commands of their own, against a real API over HTTPS. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { type Client, inProcess } from '../../src/client/index.ts';
import { Application, type ApplicationStatus, Namespace } from '../../src/kinds/index.ts';
import { admin, serveTestApi, type TestServer } from '../testbed/api.ts';
import { type Driftless, driftless, program } from './driftless.ts';
import { onTerminal } from './terminal.ts';

let server: TestServer;
let client: Client;
let run: Driftless;

const make = async (name: string, namespace: string, status: ApplicationStatus) => {
	await client.create(Application, {
		apiVersion: 'argoproj.io/v1alpha1',
		kind: 'Application',
		metadata: { name, namespace },
		spec: { project: 'default', destination: {}, source: { repoURL: 'https://git.example.com/x.git' } },
	});
	await report(name, namespace, status);
};
const report = (name: string, namespace: string, status: ApplicationStatus) =>
	client.patch(Application, { name, namespace }, { type: 'merge', body: { status } }, { subresource: 'status' });
const synced: ApplicationStatus = { sync: { status: 'Synced', revision: 'r1' }, health: { status: 'Healthy' } };
const unknown: ApplicationStatus = {
	sync: { status: 'Unknown' },
	conditions: [{ type: 'ComparisonError', message: 'the remote is down' }],
};

test.before(async () => {
	server = await serveTestApi();
	client = inProcess(server.api, admin);
	run = driftless(server.kubeconfig);
	for (const name of ['default', 'argocd', 'team']) {
		const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name }, spec: {} };
		await client.create(Namespace, namespace).catch(() => undefined);
	}
	await make('shop', 'default', synced);
	await make('library', 'argocd', synced);
	await make('twice', 'argocd', synced);
	await make('twice', 'team', synced);
	await make('lost', 'argocd', unknown);
});

test.after.always(async () => {
	run[Symbol.dispose]();
	await server[Symbol.asyncDispose]();
});

test('--watch shows what is there, then every change that shows, until it is interrupted', async (t) => {
	await make('watched', 'default', synced);
	const { stdout, stderr, code } = await run('status', 'watched', '--watch', {
		async meanwhile({ child, until }) {
			await until(/^watched +r1 +Synced/m);
			// Nothing of it is shown. It is looked at by then; where it were not, the next change would be drawn all the same.
			await report('watched', 'default', { ...synced, reconciledAt: '2026-01-01T00:00:00Z' });
			await delay(1_000);
			await report('watched', 'default', { ...synced, sync: { status: 'OutOfSync', revision: 'r2' } });
			await until(/^watched +r2 +OutOfSync/m);
			child.kill('SIGINT');
		},
	});
	t.is(stderr, '');
	t.is(code, 0);
	t.deepEqual(stdout.match(/^watched +r\d/gm), ['watched       r1', 'watched       r2'], 'what is shown is drawn once');
});

test('--watch on a terminal draws in place, and goes on drawing as ages grow', async (t) => {
	await onTerminal(
		`${program} --kubeconfig ${server.kubeconfig} status shop --watch`,
		async ({ until, type, ended }) => {
			// biome-ignore lint/suspicious/noControlCharactersInRegex: a terminal's escape sequences begin with one
			await until(/(\u001b\[H\u001b\[2J[\s\S]*shop +r1 [\s\S]*){2}/);
			type('\u0003');
			t.is(await ended, 130, 'the shell around it says that it was interrupted');
		},
	);
});

test('an application is found by its name alone where no other has it', async (t) => {
	t.regex(await run.ok('status', 'library'), /^argocd\/library +r1 +Synced/m);
	t.regex(await run.ok('status', 'team/twice'), /^team\/twice +r1 /m);
	const { stderr, code } = await run('status', 'twice');
	t.deepEqual(
		[code, stderr],
		[2, 'error: there are several applications twice; name one of: argocd/twice, team/twice\n'],
	);
});

for (const name of ['', '/', 'argocd/', '/shop', 'nosuch', 'team/shop'])
	for (const command of ['status', 'diff', 'sync', 'history', 'rollback'])
		test(`driftless ${command} says that there is no application ${JSON.stringify(name)}`, async (t) => {
			const { stdout, stderr, code } = await run(command, name);
			t.is(code, 2);
			t.is(stdout, '');
			t.regex(stderr, /^error: there is no application .*; there are: .*shop.*\n$/);
		});

test('diff fails where nothing can be compared, so that a check does not pass by mistake', async (t) => {
	for (const options of [[], ['--exit-code']]) {
		const { stdout, stderr, code } = await run('diff', 'lost', ...options);
		t.deepEqual([code, stdout, stderr], [2, '', 'error: lost cannot be compared: the remote is down\n']);
	}
});

test('a kubeconfig that is not there, and one that may not be read, are told apart', async (t) => {
	using without = driftless();
	const missing = await without('--kubeconfig', join(without.folder, 'none'), 'status');
	t.regex(
		missing.stderr,
		/^error: cannot read kubeconfig \S+\/none: ENOENT: no such file or directory; is driftless running\? /,
	);
	await writeFile(join(without.folder, 'file'), '');
	const remote = await without('--data-dir', join(without.folder, 'none'), 'remote');
	t.regex(remote.stderr, /^error: \S+\/none has no embedded repository yet; start driftless first: driftless up/);
});

test('what others have written is shown, and a terminal obeys nothing in it', async (t) => {
	const evil = 'x\u001b[2J\u009b31m\u0007';
	const drift = {
		path: '.data.a',
		live: evil,
		desired: evil,
		manager: evil,
		origin: { file: evil, line: 1, column: 1 },
	};
	await make('evil', 'team', {
		sync: { status: 'Unknown', revision: 'r1' },
		conditions: [{ type: 'ComparisonError', message: evil }],
		resources: [{ kind: 'ConfigMap', namespace: 'team', name: 'a', status: 'OutOfSync', drift: [drift] }],
		history: [{ id: 0, revision: evil, deployedAt: '2026-01-01T00:00:00Z', source: { repoURL: evil } }],
	});
	const commands = [
		['status', 'team/evil', '-o', 'wide'],
		['diff', 'team/evil'],
		['history', 'team/evil'],
		['describe', 'application', 'evil', '-n', 'team'],
		['get', 'application', 'evil', '-n', 'team', '-o', 'wide'],
	];
	for (const words of commands) {
		const { stdout, stderr } = await run(...words);
		t.notRegex(stdout + stderr, /[^\P{Cc}\t\n]/u, words.join(' '));
		if (words[0] !== 'get')
			t.true((stdout + stderr).includes('x^[[2J\\u009b31m^G'), `${words.join(' ')}: ${stdout}${stderr}`);
	}
});
