/** The files that give a pod its names: hosts and resolv.conf. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { podFiles, resolvFile, writeNames } from '../../src/agents/pods/files.ts';
import type { Pod } from '../../src/kinds/index.ts';

const dns = { server: '10.96.0.10', domain: 'cluster.local' };

const pod = (spec: Partial<Pod['spec']> = {}): Pod => ({
	apiVersion: 'v1',
	kind: 'Pod',
	metadata: { name: 'p', namespace: 'n', uid: 'u' },
	spec: { containers: [], ...spec },
});

const resolutions: readonly (readonly [string, Partial<Pod['spec']>, string, string])[] = [
	[
		'a pod with the policy Default asks whom its machine asks',
		{ dnsPolicy: 'Default' },
		'nameserver 192.0.2.53\nsearch example.com\noptions edns0\n',
		'nameserver 192.0.2.53\nsearch example.com\noptions edns0\n',
	],
	[
		'but not a resolver on the machine’s loopback, which its own network does not have',
		{ dnsPolicy: 'Default' },
		'nameserver 127.0.0.1\nnameserver 192.0.2.53\n',
		'nameserver 192.0.2.53\n',
	],
	[
		'where there is no other, it asks the cluster’s, which asks the machine’s',
		{ dnsPolicy: 'Default' },
		'nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch example.com\n',
		'nameserver 10.96.0.10\nsearch example.com\noptions edns0 trust-ad\n',
	],
	[
		'a pod on its machine’s network has that resolver too',
		{ dnsPolicy: 'Default', hostNetwork: true },
		'nameserver 127.0.0.53\n',
		'nameserver 127.0.0.53\n',
	],
	[
		'one with names of its own only has those',
		{ dnsPolicy: 'None', dnsConfig: { nameservers: ['192.0.2.1'], options: [{ name: 'ndots', value: '2' }] } },
		'nameserver 127.0.0.53\n',
		'nameserver 192.0.2.1\noptions ndots:2\n',
	],
];

for (const [title, spec, machine, expected] of resolutions) {
	test(`resolv.conf: ${title}`, (t) => {
		t.is(resolvFile(pod(spec), dns, machine), expected);
	});
}

test('the files of names are written whole or not at all, and follow the address of the pod', async (t) => {
	const dataDir = await mkdtemp(join(tmpdir(), 'driftless-names-'));
	t.teardown(() => rm(dataDir, { recursive: true, force: true }));
	await writeNames(dataDir, pod(), '10.0.0.1', dns);
	const files = podFiles(dataDir, 'u');
	t.true((await readFile(files.hosts, 'utf8')).includes('10.0.0.1\tp\n'));
	// As an agent leaves it that died while it wrote.
	await writeFile(files.resolv, '');
	await writeFile(`${files.resolv}.new`, 'names');
	await writeNames(dataDir, pod(), '10.0.0.2', dns);
	t.true((await readFile(files.hosts, 'utf8')).includes('10.0.0.2\tp\n'));
	t.regex(await readFile(files.resolv, 'utf8'), /^nameserver 10\.96\.0\.10\n/);
	t.deepEqual((await readdir(files.root)).sort(), ['etc-hosts', 'resolv.conf']);
});
