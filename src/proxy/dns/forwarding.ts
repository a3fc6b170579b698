/**
 * Who is asked for names that are not the cluster's: the resolvers of the machine, or those that the ConfigMap `kube-dns` in kube-system
 * names, for all names or for those of a domain. Its form is that of Kubernetes' "Customizing DNS Service" for kube-dns: `stubDomains`
 * and `upstreamNameservers`, in JSON.
 */
import { isIP } from 'node:net';
import { faults } from '../../client/index.ts';
import type { ConfigMap } from '../../kinds/index.ts';
import type { Log } from '../../log.ts';
import type { Resolver } from './ask.ts';
import { createResolvers, type Resolvers } from './resolvers.ts';

/** Where it is said, and the only ConfigMap of the namespace that cluster DNS reads. */
export const CONFIG = { namespace: 'kube-system', name: 'kube-dns' } as const;

/** Resolvers of one domain. */
const MOST_RESOLVERS = 16;
const MOST_DOMAINS = 1_000;
const DOMAIN = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/;

export interface Forwarding {
	/** By domain, in lower case without the final dot. */
	readonly stubs: ReadonlyMap<string, readonly Resolver[]>;
	/** Instead of the machine's. */
	readonly upstream?: readonly Resolver[];
}

/** What the data of the ConfigMap say. Throws with the field and what is wrong with it. Pure. */
export function forwardingOf(data: ConfigMap['data'] = {}): Forwarding {
	const stubs = new Map<string, readonly Resolver[]>();
	const domains = parsed(data.stubDomains, 'stubDomains') ?? {};
	if (typeof domains !== 'object' || domains === null || Array.isArray(domains))
		throw new Error('stubDomains must be an object of domains, each with a list of resolvers');
	const entries = Object.entries(domains);
	if (entries.length > MOST_DOMAINS) throw new Error(`stubDomains has more than ${MOST_DOMAINS} domains`);
	for (const [name, resolvers] of entries) {
		const domain = name.toLowerCase().replace(/\.$/, '');
		if (!DOMAIN.test(domain)) throw new Error(`stubDomains: ${JSON.stringify(name)} is no domain`);
		stubs.set(domain, resolversIn(resolvers, `stubDomains[${name}]`));
	}
	const upstream = parsed(data.upstreamNameservers, 'upstreamNameservers');
	return { stubs, ...(upstream !== undefined && { upstream: resolversIn(upstream, 'upstreamNameservers') }) };
}

function parsed(text: string | undefined, field: string): unknown {
	if (text === undefined || text.trim() === '') return undefined;
	try {
		return JSON.parse(text);
	} catch (error) {
		throw new Error(`${field} is not JSON: ${(error as Error).message}`);
	}
}

/** `10.0.0.1`, or `10.0.0.1:5353`. */
function resolversIn(list: unknown, field: string): readonly Resolver[] {
	if (!Array.isArray(list) || list.length === 0 || list.length > MOST_RESOLVERS)
		throw new Error(`${field} must be a list of 1 to ${MOST_RESOLVERS} resolvers`);
	return list.map((each) => {
		const [, bare, number] = /^([\d.]+)(?::(\d{1,5}))?$/.exec(String(each)) ?? [];
		const address = bare ?? String(each);
		const port = number === undefined ? undefined : Number(number);
		if (isIP(address) === 0 || port === 0 || (port ?? 0) > 65_535)
			throw new Error(`${field}: ${JSON.stringify(each)} is no address, or address and port`);
		return { address, ...(port !== undefined && { port }) };
	});
}

export interface ForwardingOptions {
	/** The ConfigMap as it is now. */
	readonly config: () => ConfigMap | undefined;
	/** The machine's resolvers. */
	readonly machine: () => Promise<readonly Resolver[]>;
	/** The address of this server, which asks not itself. */
	readonly self: string;
	readonly log: Log;
}

/** Who is asked for a name, in lower case: those of the longest domain that it is in. What cannot be read leaves what was there before. */
export function createForwarding({ config, machine, self, log }: ForwardingOptions): (name: string) => Resolvers {
	const known = faults(log);
	let read: ConfigMap | undefined;
	let current: Forwarding = { stubs: new Map() };
	const others = (list: readonly Resolver[]) => list.filter(({ address }) => address !== self);
	const upstream = createResolvers({
		list: async () => (current.upstream ? others(current.upstream) : machine()),
		log,
	});
	const ofDomains = new Map<string, Resolvers>();
	const refresh = () => {
		const now = config();
		if (now === read) return;
		read = now;
		try {
			current = forwardingOf(now?.data);
			for (const domain of ofDomains.keys()) if (!current.stubs.has(domain)) ofDomains.delete(domain);
			known.healed('config', 'the ConfigMap kube-dns is read again');
		} catch (error) {
			known.failed('config', error, 'the ConfigMap kube-dns in kube-system cannot be read; what it said before holds');
		}
	};
	const of = (domain: string): Resolvers => {
		const there = ofDomains.get(domain);
		if (there) return there;
		const made = createResolvers({ list: async () => others(current.stubs.get(domain) ?? []), log });
		ofDomains.set(domain, made);
		return made;
	};
	return (name) => {
		refresh();
		for (let domain = name; domain !== ''; domain = domain.slice(domain.indexOf('.') + 1)) {
			if (current.stubs.has(domain)) return of(domain);
			if (!domain.includes('.')) break;
		}
		return upstream;
	};
}
