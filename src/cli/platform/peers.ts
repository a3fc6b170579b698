/** The other servers of the cluster, found by the Leases in which each says where it answers. */
import { join } from 'node:path';
import type { Client } from '../../client/index.ts';
import { Lease } from '../../kinds/index.ts';
import { isServerLease, SERVERS_NAMESPACE, serverOf } from '../../reconcile/index.ts';
import type { Peer, Peers } from '../../sync/source/index.ts';
import { LEASE } from './control-plane.ts';
import { serverIdentity } from './identity.ts';

/** A server whose Lease is older than that, in ms, is not there. Clocks of servers may differ by as much. */
const SILENCE = 30_000;

export function createPeers(client: () => Client | undefined, dataDir: string): Peers {
	const leases = async (): Promise<readonly Lease[]> => {
		const connection = client();
		if (!connection) throw new Error('the API is not ready yet');
		return (await connection.list(Lease, { namespace: SERVERS_NAMESPACE })).items;
	};
	const others = (all: readonly Lease[], self: string): ReadonlyMap<string, Peer> => {
		const found = new Map<string, Peer>();
		for (const lease of all) {
			const { holderIdentity: identity = '', renewTime = '' } = lease.spec;
			const server = isServerLease(lease) && identity !== self ? serverOf(lease) : undefined;
			if (!server || Date.now() - Date.parse(renewTime) > SILENCE) continue;
			found.set(identity, { origin: `https://${server.address}:${server.port}` });
		}
		return found;
	};
	const pki = (file: string) => join(dataDir, 'pki', file);
	return {
		async leader() {
			const all = await leases();
			const holder = all.find(({ metadata }) => metadata.name === LEASE)?.spec.holderIdentity ?? '';
			return others(all, await serverIdentity(dataDir)).get(holder);
		},
		others: async () => [...others(await leases(), await serverIdentity(dataDir)).values()],
		certificates: { ca: pki('ca.crt'), cert: pki('admin.crt'), key: pki('admin.key') },
	};
}
