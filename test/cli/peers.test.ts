import test from 'ava';
import { serverIdentity } from '../../src/cli/platform/identity.ts';
import { createPeers } from '../../src/cli/platform/peers.ts';
import { inProcess } from '../../src/client/index.ts';
import { Lease } from '../../src/kinds/index.ts';
import { serverLease } from '../../src/reconcile/index.ts';
import { admin, openTestApi } from '../testbed/api.ts';

test('the other servers are those whose Leases are fresh, and the one that leads is known among them', async (t) => {
	await using opened = await openTestApi();
	const client = inProcess(opened.api, admin);
	const peers = createPeers(() => client, opened.dataDir);
	const announce = (identity: string, address: string, time: number) =>
		client.create(Lease, serverLease(identity, { address, port: 6443, authority: 'x' }, time));
	await announce(await serverIdentity(opened.dataDir), '10.0.0.1', Date.now());
	await announce('second', '10.0.0.2', Date.now());
	await announce('third', '10.0.0.3', Date.now() - 3_600_000);
	t.deepEqual(await peers.others(), [{ origin: 'https://10.0.0.2:6443' }]);
	t.is(await peers.leader(), undefined, 'nobody leads');
	const lead = async (holderIdentity: string) => {
		const metadata = { name: 'driftless', namespace: 'kube-system' };
		await client.delete(Lease, metadata).catch(() => {});
		await client.create(Lease, {
			apiVersion: 'coordination.k8s.io/v1',
			kind: 'Lease',
			metadata,
			spec: { holderIdentity, leaseDurationSeconds: 15 },
		});
	};
	await lead('second');
	t.deepEqual(await peers.leader(), { origin: 'https://10.0.0.2:6443' });
	await lead(await serverIdentity(opened.dataDir));
	t.is(await peers.leader(), undefined, 'this server itself');
	t.is(peers.certificates.ca, `${opened.dataDir}/pki/ca.crt`);
});
