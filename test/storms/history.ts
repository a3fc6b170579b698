/**
 * A history of what clients did to lists that only grow, and whether a linearizable store can have made it. A list shows in
 * each read everything that came before, so no search is needed (the list-append histories of Kingsbury and Alvaro's Elle).
 */

/** `unknown`: the client was not told whether it was made. */
export type Outcome = 'made' | 'refused' | 'unknown';

export interface Append {
	readonly do: 'append';
	readonly client: string;
	readonly key: string;
	readonly token: string;
	readonly outcome: Outcome;
	/** Places in the order in which things began and ended. */
	readonly begun: number;
	readonly ended: number;
}

export interface Read {
	readonly do: 'read';
	readonly client: string;
	readonly key: string;
	readonly list: readonly string[];
	readonly begun: number;
	readonly ended: number;
}

export type Operation = Append | Read;

/** What one watch saw of a key, in order: the list after each change. It begins anew after each 410. */
export interface Watched {
	readonly client: string;
	readonly key: string;
	readonly lists: readonly (readonly string[])[];
}

export interface History {
	readonly operations: readonly Operation[];
	readonly watched: readonly Watched[];
	/** Whether watches must tell each change; else they may tell the outcome of some, as after a store forgot its history. */
	readonly gapless: boolean;
	/** The lists when all had come to rest. */
	readonly last: ReadonlyMap<string, readonly string[]>;
}

/** What is wrong with a history, in sentences; nothing where it is linearizable and the watches have no gap. */
export function faultsOf({ operations, watched, gapless, last }: History): string[] {
	const faults: string[] = [];
	for (const [key, list] of last) {
		const own = operations.filter((operation) => operation.key === key);
		faults.push(...faultsOfAppends(key, list, own), ...faultsOfOrder(key, list, own));
	}
	for (const { client, key, lists } of watched) {
		const list = last.get(key) ?? [];
		for (const [index, seen] of lists.entries()) {
			const before = lists[index - 1];
			if (!isPrefix(seen, list)) faults.push(`${client} watched ${key} as ${seen}, which it never was`);
			else if (before && (gapless ? seen.length !== before.length + 1 : seen.length <= before.length))
				faults.push(`${client} watched ${key} go from ${before.length} to ${seen.length} entries`);
		}
	}
	return faults;
}

function faultsOfAppends(key: string, list: readonly string[], operations: readonly Operation[]): string[] {
	const faults: string[] = [];
	const times = new Map<string, number>();
	for (const token of list) times.set(token, (times.get(token) ?? 0) + 1);
	for (const operation of operations) {
		if (operation.do !== 'append') continue;
		const { client, token, outcome } = operation;
		const found = times.get(token) ?? 0;
		if (found > 1) faults.push(`${token} of ${client} is ${found} times in ${key}`);
		if (outcome === 'made' && found === 0) faults.push(`${token} of ${client} was acknowledged and is not in ${key}`);
		if (outcome === 'refused' && found > 0) faults.push(`${token} of ${client} was refused and is in ${key}`);
	}
	return faults;
}

/** What began after something had ended must see it. */
function faultsOfOrder(key: string, list: readonly string[], operations: readonly Operation[]): string[] {
	const faults: string[] = [];
	const places = new Map(list.map((token, index) => [token, index]));
	/** How many entries the list had, at the least, after an operation, and at the most, when it was made. */
	const bounds = (operation: Operation): { readonly least: number; readonly most: number } | undefined => {
		if (operation.do === 'read') return { least: operation.list.length, most: operation.list.length };
		const place = places.get(operation.token);
		return operation.outcome === 'made' && place !== undefined ? { least: place + 1, most: place } : undefined;
	};
	const endings = operations.toSorted((one, other) => one.ended - other.ended);
	let next = 0;
	let least = 0;
	let by: Operation | undefined;
	for (const operation of operations.toSorted((one, other) => one.begun - other.begun)) {
		for (let ending = endings[next]; ending && ending.ended < operation.begun; ending = endings[++next]) {
			const known = bounds(ending)?.least ?? 0;
			if (known <= least) continue;
			least = known;
			by = ending;
		}
		if (operation.do === 'read' && !isPrefix(operation.list, list))
			faults.push(`${operation.client} read ${key} as ${operation.list}, which it never was`);
		const most = bounds(operation)?.most;
		if (most !== undefined && most < least)
			faults.push(
				`${operation.client}'s ${operation.do} found ${most} entries in ${key} after ${by?.client}'s ${by?.do} had found ${least}`,
			);
	}
	return faults;
}

const isPrefix = (one: readonly string[], whole: readonly string[]) =>
	one.length <= whole.length && one.every((token, index) => token === whole[index]);
