import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { symlink } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import { configMap, fails, inSync, noStack, startWorld, succeeds, times, type World } from './world.ts';

let world: World;
/** Connections that never finish a request; opened first, looked at last. */
const slow: Socket[] = [];
const closed = new Set<Socket>();
const SLOW_CONNECTIONS = 2_000;

test.before(async () => {
	world = await startWorld();
});

test.after.always(async () => {
	for (const socket of slow) socket.destroy();
	await world[Symbol.asyncDispose]();
});

test.serial('a repository without a commit is waited for, and the status says so', async (t) => {
	const { stdout, code } = await world.status('it has looked', ({ stdout }) => stdout.includes('!'));
	t.is(code, 2);
	t.regex(stdout, /git\/default\.git has no revision main yet; push one/);
	succeeds(t, await world.push({ 'a.yaml': configMap('a') }));
	t.true(inSync(await world.status('it is in sync', inSync)));
});

test.serial('thousands of connections that say nothing do not keep others from being served', async (t) => {
	for (let index = 0; index < SLOW_CONNECTIONS; index++) {
		const socket = connect({ host: world.engine.address, port: 6443 });
		socket.on('error', () => {});
		socket.on('close', () => closed.add(socket));
		socket.on('connect', () => socket.write('\u0016'));
		slow.push(socket);
	}
	const started = Date.now();
	succeeds(t, await world.kubectl('get', 'configmap', 'a'));
	succeeds(t, await world.push({ 'a.yaml': configMap('a', '2') }));
	t.log(`served within ${Date.now() - started} ms`);
});

test.serial('everything that is wrong with a push is named at its place, and nothing of it is applied', async (t) => {
	const bomb = Array.from({ length: 9 }, (_, n) => `  a${n}: &a${n} [${Array(9).fill(n ? `*a${n - 1}` : 'x')}]\n`);
	await world.write({
		'good.yaml': configMap('good'),
		'again.yaml': configMap('a', '3'),
		'big.yaml': Buffer.alloc(100_000_000, 'a'),
		'binary.yaml': Buffer.from([0xff, 0xfe, 0x00, 0x01, 0x80]),
		'picture.png': Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x00]),
		'bomb.yaml': `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bomb}\ndata:\n${bomb.join('')}`,
		'deep.yaml': `${configMap('deep')}  more: ${'['.repeat(100_000)}`,
		'field.yaml': `apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec:\n  replica: 3\n  selector: {matchLabels: {a: b}}\n  template:\n    metadata: {labels: {a: b}}\n    spec: {containers: [{name: c, image: i}]}\n`,
		'half.json': '{"apiVersion": "v1",',
		'kind.yaml': 'apiVersion: v1\nkind: Podd\nmetadata:\n  name: kind\n',
		'kustomized/kustomization.yaml': 'resources:\n- ../../outside\n',
		'name.yaml': configMap('Bad_Name'),
		'syntax.yaml': 'apiVersion: v1\nkind: [ConfigMap\nmetadata: {}\n',
		'type.yaml': 'apiVersion: v1\nkind: Service\nmetadata:\n  name: s\nspec:\n  ports: eighty\n',
	});
	await symlink('/etc/passwd', join(world.clone, 'link.yaml'));
	const { code, output } = await world.push();
	t.not(code, 0);
	for (const line of [
		/again\.yaml:1:1: ConfigMap a is already defined at a\.yaml:1:1/,
		/big\.yaml:1:1: 95\.4 MiB is more than the 5 MiB that a manifest may have/,
		/binary\.yaml:1:1: binary content: a manifest is text in UTF-8/,
		/bomb\.yaml:\d+:\d+: its aliases expand to more than \d+ nodes: refused/,
		/deep\.yaml:\d+:\d+: nested deeper than 100 levels/,
		/field\.yaml:5:3: spec\.replica: unknown field: did you mean replicas\?/,
		/half\.json:1:\d+: not JSON/,
		/kind\.yaml:2:1: kind: there is no kind Podd in v1: did you mean Pod \(v1\)\?/,
		/kustomized\/kustomization\.yaml:1:1: resources: \.\.\/\.\.\/outside leads out of the source/,
		/link\.yaml:1:1: a symbolic link, which is not followed: put the file itself here/,
		/name\.yaml:4:3: metadata\.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain/,
		/syntax\.yaml:\d+:\d+: /,
		/type\.yaml:6:3: spec\.ports: expected a list, got the string "eighty"/,
		/refused: \d+ problems in [0-9a-f]{7}; nothing of this push is applied/,
	])
		t.regex(output, line);
	t.notRegex(output, /picture\.png|remote: +at |run\.go/);
	t.regex((await world.kubectl('get', 'configmap', 'a', '-o', 'jsonpath={.data.key}')).stdout, /^2$/);
	fails(t, await world.kubectl('get', 'configmap', 'good'));
	t.true(inSync(await world.driftless('status')), 'what was accepted before is untouched');
	await world.git('reset', '--quiet', '--hard', 'HEAD~1');
	succeeds(t, await world.push({ 'b.yaml': configMap('b') }));
	succeeds(t, await world.kubectl('get', 'configmap', 'b'));
});

test.serial('what of a push is passed over is noted', async (t) => {
	await symlink('/etc', join(world.clone, 'linked'));
	const { code, output } = await world.push({ 'values.yaml': 'replicas: 3\n' });
	t.is(code, 0, output);
	t.regex(output, /note: linked:1:1: a symbolic link, which is not followed: ignored/);
	t.regex(output, /note: values\.yaml:1:1: no Kubernetes object .*: ignored/);
	succeeds(t, await world.push({ linked: undefined, 'values.yaml': undefined }));
});

test.serial('who has no token, or a wrong one, changes nothing and is told what is wanted', async (t) => {
	const right = (await world.driftless('remote')).stdout.trim();
	await world.write({ 'a.yaml': configMap('a', 'intruder') });
	await world.git('commit', '--quiet', '--all', '--message', 'change');
	const wrong = await world.git('push', right.replace(/:[^:@]+@/, ':wrong@'), 'HEAD:main');
	fails(t, wrong);
	t.regex(wrong.output, /a token is wanted as the password: "driftless remote" prints the URL that has it/);
	t.notRegex(wrong.output, new RegExp(new URL(right).password));
	const none = await world.git('push', right.replace(/\/\/[^@]+@/, '//'), 'HEAD:main');
	fails(t, none);
	const bearer = await world.kubectl('--token=wrong', '--client-certificate=', '--client-key=', 'get', 'pods');
	fails(t, bearer);
	const curl = await world.run('curl', [
		'-sk',
		'-H',
		'Authorization: Bearer wrong',
		'https://127.0.0.1:6443/api/v1/pods',
	]);
	t.like(JSON.parse(curl.stdout), { kind: 'Status', reason: 'Unauthorized', code: 401 });
	t.not((await world.kubectl('get', 'configmap', 'a', '-o', 'jsonpath={.data.key}')).stdout, 'intruder');
	await world.git('reset', '--quiet', '--hard', 'HEAD~1');
});

test.serial('an API body that is no JSON, too large or of another kind is refused in words', async (t) => {
	const maps = '/api/v1/namespaces/default/configmaps';
	const create = (input: string) => world.run('kubectl', ['create', '--raw', maps, '-f', '-'], { input });
	const refusals: readonly (readonly [string, RegExp])[] = [
		['{"kind": "ConfigMap", ', /the body is no valid JSON/],
		['[1, 2]', /the body is no ConfigMap: it must be a JSON object/],
		['{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"}}', /does not match the expected kind \(ConfigMap\)/],
		[
			'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"p"},"data":{"a":5}}',
			/cannot unmarshal number into .* ConfigMap\.data of type string/,
		],
		[
			`{"metadata":{"name":"p"},"data":{"a":"${'x'.repeat(4_000_000)}"}}`,
			/Request entity too large: limit is 3145728 bytes/,
		],
		['['.repeat(100_000), /the body is no valid JSON/],
	];
	for (const [body, why] of refusals) {
		const { code, output } = await create(body);
		t.not(code, 0);
		t.regex(output, why);
	}
	succeeds(t, await create('{"metadata":{"name":"p"},"data":{"a":"5"}}'), 'the server lives');
	await world.kubectl('delete', 'configmap', 'p');
});

test.serial('garbage at the webhook is refused, and fills no log', async (t) => {
	const hook = (...args: string[]) =>
		world.run('curl', ['-sS', '-w', ' %{http_code}', ...args, 'http://127.0.0.1:7080/webhook']);
	for (let index = 0; index < 20; index++) {
		t.is((await hook('-d', 'garbage')).stdout, 'the body is no JSON\n 400');
		t.regex((await hook('-X', 'PUT')).stdout, /405$/);
	}
	await world.write({ '../large': Buffer.alloc(8_000_000, 'a') });
	t.regex((await hook('--data-binary', `@${join(world.folder, 'large')}`)).stdout, /is not read 413$/);
	t.is(
		(await hook('-H', 'content-type: application/json', '-d', '{}')).stdout,
		'the body names no repository (repository.clone_url or its like)\n 400',
	);
	t.is(times(world.printed(), 'the body is no JSON'), 1);
	t.false(world.printed().includes('web request failed'), world.printed());
});

test.serial('a pusher that hangs up in the middle of a push leaves nothing behind', async (t) => {
	const remote = new URL((await world.driftless('remote')).stdout.trim());
	const cut = `
		const { request } = require('node:http');
		const headers = { 'content-type': 'application/x-git-receive-pack-request', authorization: ${JSON.stringify(`Basic ${Buffer.from(`git:${remote.password}`).toString('base64')}`)} };
		const push = request('http://${remote.host}/git/default.git/git-receive-pack', { method: 'POST', headers });
		push.on('error', () => {}).on('close', () => process.exit());
		push.write('0000PACK' + 'x'.repeat(100_000), () => push.destroy());`;
	succeeds(t, await world.run('node', ['-e', cut]));
	await world.until(
		'no git is left behind',
		async () => gitProcesses(world.dataDir),
		(processes) => processes.every((command) => command.includes('cat-file')),
	);
	const leftovers = await world.run('sh', ['-c', `ls ${world.dataDir}/git/default.git/objects | grep -c incoming`]);
	t.is(leftovers.stdout.trim(), '0');
	succeeds(t, await world.push({ 'a.yaml': configMap('a', 'after') }));
});

test.serial('connections that say nothing are ended, and what `up` has printed is for people', async (t) => {
	await world.until(
		'they are closed',
		async () => closed.size,
		(count) => count === SLOW_CONNECTIONS,
	);
	t.true(noStack(world.printed()), world.printed());
	t.notRegex(world.printed(), /defect|MaxListeners|memory leak/);
	await world.status('all is in sync', inSync);
});

test.serial('a forced push is new desired state; a deleted branch changes nothing, over a restart too', async (t) => {
	await world.git('reset', '--quiet', '--hard', 'HEAD~2');
	await world.write({ 'a.yaml': configMap('a', 'forced') });
	const forced = await world.push({}, '--force');
	succeeds(t, forced);
	await world.until(
		'the forced state is applied',
		() => world.kubectl('get', 'configmap', 'a', '-o', 'jsonpath={.data.key}'),
		({ stdout }) => stdout === 'forced',
	);
	const remote = (await world.driftless('remote')).stdout.trim();
	const deleted = await world.git('push', remote, ':main');
	succeeds(t, deleted);
	t.regex(deleted.output, /main is deleted: what it described stays as it is, until main is pushed again/);
	const gone = ({ stdout }: { stdout: string }) =>
		/has no revision main: what [0-9a-f]{7} described stays as it is until there is one/.test(stdout);
	t.is((await world.status('the status says so', gone)).code, 2);
	await world.kill();
	await world.start();
	const { stdout } = await world.status('the status says so after a restart', gone);
	t.notRegex(stdout, /prune/);
	succeeds(t, await world.kubectl('get', 'configmap', 'a'));
	// What is known of the source is kept up.
	await world.kubectl('delete', 'configmap', 'a');
	await world.until(
		'a deleted object comes back',
		() => world.kubectl('get', 'configmap', 'a'),
		({ code }) => code === 0,
	);
	succeeds(t, await world.git('push', (await world.driftless('remote')).stdout.trim(), 'HEAD:main'));
	await world.status('all is in sync again', inSync);
});

/** The commands of the git processes that work in a folder. */
function gitProcesses(folder: string): string[] {
	return readdirSync('/proc').flatMap((pid) => {
		try {
			const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
			const within = readlinkSync(`/proc/${pid}/cwd`).startsWith(folder) || command.includes(folder);
			return /^\S*git\b/.test(command) && within ? [command] : [];
		} catch {
			// It is no process, or has just ended.
			return [];
		}
	});
}
