/** A server on an etcd that asks for certificates and for a password. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { issue, makeAuthority } from '../../src/api/certificates.ts';
import { startEtcd } from '../testbed/etcd.ts';
import { driftless } from './driftless.ts';

const PASSWORD = 'a-long-password';

test('a server is let in by etcd with the certificates, the name and the password that it is given, and tells nobody', async (t) => {
	const folder = await mkdtemp(join(tmpdir(), 'driftless-etcd-access-'));
	t.teardown(() => rm(folder, { recursive: true, force: true }));
	const file = (name: string) => join(folder, name);
	const authority = await makeAuthority('etcd-ca', Date.now());
	const server = { commonName: 'etcd', usage: 'server', names: ['127.0.0.1'] } as const;
	const pairs = {
		ca: authority,
		server: await issue(authority, server, Date.now()),
		client: await issue(authority, { commonName: 'nobody', usage: 'client' }, Date.now()),
	};
	for (const [name, { cert, key }] of Object.entries(pairs)) {
		await writeFile(file(`${name}.crt`), cert);
		await writeFile(file(`${name}.key`), key);
	}
	const etcd = await startEtcd({ tls: { ca: file('ca.crt'), cert: file('server.crt'), key: file('server.key') } });
	t.teardown(() => etcd.stop());
	const access = ['--cacert', file('ca.crt'), '--cert', file('client.crt'), '--key', file('client.key')];
	const etcdctl = (...args: string[]) =>
		promisify(execFile)('etcdctl', ['--endpoints', `https://${etcd.endpoints[0]}`, ...access, ...args], {
			env: { ...process.env, ETCDCTL_API: '3' },
		});
	await etcdctl('user', 'add', `root:${PASSWORD}`);
	await etcdctl('user', 'grant-role', 'root', 'root').catch(async () => {
		await etcdctl('role', 'add', 'root');
		await etcdctl('user', 'grant-role', 'root', 'root');
	});
	await etcdctl('auth', 'enable');

	using run = driftless();
	const dataDir = file('data');
	const start = (env: Record<string, string>, ...more: string[]) =>
		run(
			...['--data-dir', dataDir, 'server', '--api-port', '0', '--http-port', '0', '--advertise-address', '127.0.0.1'],
			...['--store', `etcds://${etcd.endpoints[0]}`, '--etcd-cafile', file('ca.crt')],
			...['--etcd-certfile', file('client.crt'), '--etcd-keyfile', file('client.key'), ...more],
			{
				env: { PATH: process.env.PATH ?? '', ...env },
				meanwhile: async (running) => {
					await running.until(/driftless is ready|error:/);
					t.false((await readFile(`/proc/${running.child.pid}/cmdline`, 'utf8').catch(() => '')).includes(PASSWORD));
					running.child.kill('SIGTERM');
				},
			},
		);
	const user = { DRIFTLESS_ETCD_USER: 'root' };
	const refused = await start({ ...user, DRIFTLESS_ETCD_PASSWORD: 'wrong' });
	t.regex(refused.stderr, /etcd at .* refuses the user name or the password/);
	await writeFile(file('password'), `${PASSWORD}\n`);
	for (const ready of [
		await start({ ...user, DRIFTLESS_ETCD_PASSWORD: PASSWORD }),
		await start({}, '--etcd-user', 'root', '--etcd-password-file', file('password')),
	]) {
		t.regex(ready.stdout, /driftless is ready/, ready.stderr);
		t.false(`${ready.stdout}${ready.stderr}`.includes(PASSWORD));
	}
});
