/**
 * The table of the node's services in the kernel. It changes in pieces, each a transaction of a bounded number of services, and a
 * piece that the kernel refuses is halved until the services are alone whose fault it is: they hold up no other.
 */
import type { Key } from '../kinds/index.ts';
import { frame, frameAnew, type Network, TABLE } from './frame.ts';
import { nft, nftList, ProgramError } from './programs.ts';
import { compile, difference, noRules, type Rules, together } from './rules.ts';
import type { ServicePort } from './services.ts';

/** Services that change in one transaction. */
const SERVICES_AT_ONCE = 500;

/** How the kernel is reached; `run` is one transaction, `list` an answer of `nft -j list`. */
export interface Kernel {
	readonly run: (script: string) => Promise<unknown>;
	readonly list: (...what: readonly string[]) => Promise<string>;
}

/** What each service is to have; nothing takes its rules away. */
export type Wanted = ReadonlyMap<Key, readonly ServicePort[]>;
/** The services whose rules the kernel did not take, with what it said. They have those of before. */
export type Refused = ReadonlyMap<Key, unknown>;

export interface Table {
	isThere(): Promise<boolean>;
	/** Sets everything, and takes away what is there of other services. What is there serves until its piece is exchanged. */
	setAll(wanted: Wanted, network: Network): Promise<Refused>;
	/** Sets these services, and leaves all others. Throws where the table is gone, or it is not known what it has: set all then. */
	set(wanted: Wanted, network: Network): Promise<Refused>;
}

export function createTable({ run, list }: Kernel = { run: nft, list: nftList }): Table {
	/** What the kernel has, by service. */
	const present = new Map<Key, Rules>();

	const isThere = () =>
		list('chain', 'ip', TABLE, 'dispatch').then(
			() => true,
			() => false,
		);
	const put = async (after: readonly (readonly [Key, Rules])[], refused: Map<Key, unknown>): Promise<void> => {
		const before = after.flatMap(([key]) => present.get(key) ?? []);
		const script = difference(together(before), together(after.map(([, rules]) => rules)));
		try {
			if (script !== '') await run(script);
			for (const [key, rules] of after) {
				if (rules.services.size > 0) present.set(key, rules);
				else present.delete(key);
			}
		} catch (error) {
			if (error instanceof ProgramError && error.late) throw error;
			const [[only] = ['']] = after;
			if (after.length === 1) {
				if (!(await isThere())) throw error;
				refused.set(only, error);
				return;
			}
			const half = Math.ceil(after.length / 2);
			await put(after.slice(0, half), refused);
			await put(after.slice(half), refused);
		}
	};
	const exchange = async (wanted: ReadonlyMap<Key, Rules>): Promise<Refused> => {
		let left = [...wanted];
		for (;;) {
			const refused = new Map<Key, unknown>();
			for (let at = 0; at < left.length; at += SERVICES_AT_ONCE)
				await put(left.slice(at, at + SERVICES_AT_ONCE), refused);
			// What one has given up in the meantime another may have now, as an address that has moved.
			if (refused.size === 0 || refused.size === left.length) return refused;
			left = left.filter(([key]) => refused.has(key));
		}
	};
	const compiled = (wanted: Wanted, { podNetwork }: Network): Map<Key, Rules> =>
		new Map(Array.from(wanted, ([key, ports]) => [key, compile(ports, podNetwork)]));

	return {
		isThere,
		set: (wanted, network) => exchange(compiled(wanted, network)),
		async setAll(wanted, network) {
			present.clear();
			try {
				await run(frame(network));
			} catch {
				// A frame of another form. Where it is not this, the next attempt says what it is.
				await run(frameAnew(network));
			}
			const after = compiled(wanted, network);
			const found = await read(list, after);
			for (const [key, rules] of found) present.set(key, rules);
			for (const key of present.keys()) if (!after.has(key)) after.set(key, noRules());
			return exchange(after);
		},
	};
}

/** What leads to nothing of any service, and that no service wants. */
const NOBODY: Key = '';
/** Rules that are there, whatever they are: they are written anew. */
const UNKNOWN: readonly string[] = [];

/** What the kernel has, by service: names alone, since everything is written anew. `wanted` tells whose an element is that names no service. */
async function read(list: Kernel['list'], wanted: ReadonlyMap<Key, Rules>): Promise<Map<Key, Rules>> {
	const found = new Map<Key, Rules>();
	const of = (key: Key) => {
		const rules = found.get(key) ?? noRules();
		found.set(key, rules);
		return rules;
	};
	const answers = async (...what: string[]): Promise<Listed[]> => JSON.parse(await list(...what)).nftables;
	for (const { chain } of await answers('chains', 'ip')) {
		const key = chain?.table === TABLE && ownerOf(chain.name);
		if (key) of(key).chains.set(chain.name, UNKNOWN);
	}
	for (const { set } of await answers('sets', 'table', 'ip', TABLE)) {
		const key = set && ownerOf(set.name);
		if (key) of(key).sets.add(set.name);
	}
	for (const name of ['services', 'nodeports'] as const) {
		const owners = new Map(
			Array.from(wanted, ([key, rules]) => [...rules[name].keys()].map((at) => [at, key] as const)).flat(),
		);
		for (const { map } of await answers('map', 'ip', TABLE, name))
			for (const [place, verdict] of map?.elem ?? []) {
				const at = (place.concat ?? place.elem?.val?.concat)?.join(' . ');
				if (!at) continue;
				const target = verdict.goto?.target ?? '';
				of(ownerOf(target) ?? owners.get(at) ?? NOBODY)[name].set(at, `goto ${target}`);
			}
	}
	return found;
}

/** The service whose a chain or a set is: `cluster/NAMESPACE/NAME/PORT-NAME/PROTOCOL`, and more of it for endpoints. */
function ownerOf(name: string): Key | undefined {
	const [, namespace, service, , protocol] = name.split('/');
	return protocol ? `${namespace}/${service}` : undefined;
}

/** One of what `nft -j list` answers. */
interface Listed {
	readonly chain?: { readonly table: string; readonly name: string };
	readonly set?: { readonly name: string };
	readonly map?: {
		readonly elem?: readonly (readonly [
			/** Within more where somebody else has given it a time or a comment. */
			Place & { readonly elem?: { readonly val?: Place } },
			{ readonly goto?: { readonly target: string } },
		])[];
	};
}

interface Place {
	readonly concat?: readonly (string | number)[];
}
