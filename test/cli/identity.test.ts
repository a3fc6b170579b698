import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { serverIdentity } from '../../src/cli/platform/identity.ts';

test('a server keeps its identity over restarts, and shares it with no other on the machine', async (t) => {
	const folder = async () => {
		const directory = await mkdtemp(join(tmpdir(), 'driftless-identity-'));
		t.teardown(() => rm(directory, { recursive: true, force: true }));
		return directory;
	};
	const [one, other] = [await folder(), await folder()];
	const identity = await serverIdentity(one);
	t.is(await serverIdentity(one), identity);
	t.not(await serverIdentity(other), identity);
	t.is((await stat(join(one, 'server-id'))).mode & 0o777, 0o600);
});
