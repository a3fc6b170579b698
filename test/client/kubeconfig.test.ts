import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { stringify } from 'yaml';
import { loadKubeconfig } from '../../src/client/index.ts';

async function file(t: ExecutionContext, content: unknown): Promise<string> {
	const directory = await mkdtemp(join(tmpdir(), 'driftless-kubeconfig-'));
	t.teardown(() => rm(directory, { recursive: true, force: true }));
	const path = join(directory, 'config');
	await writeFile(path, typeof content === 'string' ? content : stringify(content));
	return path;
}

const config = (user: object, cluster: object = {}) => ({
	apiVersion: 'v1',
	kind: 'Config',
	'current-context': 'main',
	contexts: [
		{ name: 'main', context: { cluster: 'here', user: 'me', namespace: 'mine' } },
		{ name: 'bare', context: { cluster: 'here' } },
		{ name: 'broken', context: { cluster: 'nowhere' } },
	],
	clusters: [{ name: 'here', cluster: { server: 'https://127.0.0.1:6443/', ...cluster } }],
	users: [{ name: 'me', user }],
});

test('certificates and keys are read from the file itself or from files beside it', async (t) => {
	const encoded = (text: string) => Buffer.from(text).toString('base64');
	const path = await file(
		t,
		config(
			{ 'client-certificate': 'cert.pem', 'client-key-data': encoded('KEY') },
			{ 'certificate-authority-data': encoded('CA') },
		),
	);
	await writeFile(join(path, '..', 'cert.pem'), 'CERT');
	t.like(await loadKubeconfig(path), {
		server: 'https://127.0.0.1:6443',
		namespace: 'mine',
		context: 'main',
		ca: 'CA',
		cert: 'CERT',
		key: 'KEY',
		token: undefined,
		insecure: false,
	});
});

test('a token is given or in a file; another context can be asked for', async (t) => {
	t.is((await loadKubeconfig(await file(t, config({ token: 'secret' })))).token, 'secret');
	const path = await file(t, config({ tokenFile: 'token' }, { 'insecure-skip-tls-verify': true }));
	await writeFile(join(path, '..', 'token'), 'from file\n');
	t.like(await loadKubeconfig(path), { token: 'from file', insecure: true });
	t.like(await loadKubeconfig(path, 'bare'), { namespace: 'default', token: undefined });
});

test('what is wrong with a kubeconfig is said, with its path', async (t) => {
	const wrong = async (content: unknown, why: RegExp, context?: string) => {
		const path = await file(t, content);
		const error = await t.throwsAsync(loadKubeconfig(path, context));
		t.true(error?.message.includes(path));
		t.regex(error?.message ?? '', why);
	};
	await t.throwsAsync(loadKubeconfig('/nowhere/config'), {
		message: /cannot read kubeconfig \/nowhere\/config: ENOENT/,
	});
	await wrong('', /empty/);
	await wrong('{a: [', /not YAML/);
	await wrong({ kind: 'Config' }, /no current-context/);
	await wrong(config({}), /no context named "other"/, 'other');
	await wrong(config({}), /no cluster named "nowhere"/, 'broken');
	await wrong(config({}, { server: 'nonsense' }), /no valid server address/);
	await wrong(config({ exec: { command: 'aws' } }), /signs in by exec, which is not supported/);
	await wrong(config({ 'client-key': 'missing.pem' }), /names missing\.pem, which cannot be read/);
});
