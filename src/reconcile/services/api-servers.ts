/**
 * The servers of a cluster as each tells of itself: a Lease that it renews, with where it answers. Who renews its Lease no more
 * is no server, whatever the clocks say.
 * Source: kube-apiserver's endpoint reconciler `lease`, and KEP-1965 (identities of API servers) for the name and the label.
 */
import { createHash } from 'node:crypto';
import { microTime } from '../../client/index.ts';
import { type Lease, reachableAddress } from '../../kinds/index.ts';

/** How often a server renews its Lease, and for how long it is a server without: three times are missed before. */
export const SERVER_RENEW_MS = 5_000;
export const SERVER_LEASE_MS = 15_000;
export const SERVERS_NAMESPACE = 'kube-system';
const LABEL = 'apiserver.kubernetes.io/identity';
const LABEL_VALUE = 'driftless';
/** Where the server answers: `10.0.0.1:6443`. */
const ENDPOINT = 'driftless.io/api-endpoint';
/** Whose certificates it shows. */
const AUTHORITY = 'driftless.io/authority';

export interface ApiServer {
	/** IPv4. */
	readonly address: string;
	readonly port: number;
	/** The fingerprint of its certificate authority. */
	readonly authority: string;
}

/** What a server says of itself, to be applied. `identity` is like no other server's. */
export function serverLease(identity: string, { address, port, authority }: ApiServer, now: number): Lease {
	return {
		apiVersion: 'coordination.k8s.io/v1',
		kind: 'Lease',
		metadata: {
			name: `apiserver-${createHash('sha256').update(identity).digest('hex').slice(0, 26)}`,
			namespace: SERVERS_NAMESPACE,
			labels: { [LABEL]: LABEL_VALUE },
			annotations: { [ENDPOINT]: `${address}:${port}`, [AUTHORITY]: authority },
		},
		spec: { holderIdentity: identity, leaseDurationSeconds: SERVER_LEASE_MS / 1000, renewTime: microTime(now) },
	};
}

/** The fingerprint of an authority's certificate in PEM. */
export const fingerprint = (pem: string) => createHash('sha256').update(pem.trim()).digest('hex').slice(0, 16);

export const isServerLease = ({ metadata }: Lease) =>
	metadata.namespace === SERVERS_NAMESPACE && metadata.labels?.[LABEL] === LABEL_VALUE;

/** The server that a Lease tells of; undefined where it tells of none. */
export function serverOf({ metadata }: Lease): ApiServer | undefined {
	const { [ENDPOINT]: endpoint = '', [AUTHORITY]: authority = '' } = metadata.annotations ?? {};
	const [, address = '', port = ''] = /^([\d.]+):(\d+)$/.exec(endpoint) ?? [];
	return address && reachableAddress(address).length === 0 ? { address, port: Number(port), authority } : undefined;
}

/** When each Lease was last seen to change. Times are ms of one clock. */
export interface Signs {
	/** In how many ms the Lease is over, if it does not change; 0 or less when it is. */
	left(lease: Lease, now: number): number;
	/** Forgets all Leases but these. */
	keep(names: ReadonlySet<string>): void;
}

export function createSigns(): Signs {
	const seen = new Map<string, { readonly version: string | undefined; readonly at: number }>();
	return {
		left({ metadata: { name, resourceVersion } }, now) {
			let sign = seen.get(name);
			if (sign?.version !== resourceVersion) {
				sign = { version: resourceVersion, at: now };
				seen.set(name, sign);
			}
			return (sign?.at ?? now) + SERVER_LEASE_MS - now;
		},
		keep(names) {
			for (const name of seen.keys()) if (!names.has(name)) seen.delete(name);
		},
	};
}
