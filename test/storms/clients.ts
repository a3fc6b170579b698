/** Clients that append to lists of a cluster with several servers, read them and watch them, and write down what they were told. */
import type { Api } from '../../src/api/index.ts';
import { ApiError, ServiceAccount } from '../../src/kinds/index.ts';
import { admin } from '../testbed/api.ts';
import type { History, Operation, Outcome, Watched } from './history.ts';

/** How long a server may take, in ms, until it can be read after all is mended. */
const PATIENCE_MS = 60_000;

const accounts = { kind: ServiceAccount, namespace: 'default' };

export interface StormOptions {
	/** The servers that there are now: one may be killed, and another take its place. */
	readonly servers: readonly (() => Api)[];
	readonly keys: number;
	readonly clients: number;
	/** Operations of each client. */
	readonly operations: number;
	/** A number in [0, 1). */
	readonly random: () => number;
	/** Called before each operation: here faults are made. */
	readonly before: () => Promise<void>;
	/** Called when all operations are over: here faults are mended. */
	readonly mend: () => Promise<void>;
}

/** A history of random operations through random servers. */
export async function storm(options: StormOptions): Promise<Omit<History, 'gapless'>> {
	const { servers, random, before, mend } = options;
	const keys = Array.from({ length: options.keys }, (_, index) => `k${index}`);
	const operations: Operation[] = [];
	const watched: Watched[] = [];
	let order = 0;
	let fault = '';
	const any = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;
	const tokensOf = ({ secrets }: ServiceAccount) => (secrets ?? []).map(({ name }) => name ?? '');

	for (const name of keys) {
		const body = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name }, secrets: [{ name: 'first' }] };
		await any(servers)().create(accounts, body, {}, admin);
	}

	/** Reads, by a get, or by a patch that changes nothing. */
	const read = async (client: string, api: Api, key: string): Promise<ServiceAccount | undefined> => {
		const begun = order++;
		try {
			const target = { ...accounts, name: key };
			const { object } =
				random() < 0.3
					? await api.patch(target, { type: 'merge', body: {} }, {}, admin)
					: await api.get(target, {}, admin);
			operations.push({ do: 'read', client, key, list: tokensOf(object), begun, ended: order++ });
			return object;
		} catch (cause) {
			fault = `${cause} (${outcomeOf(cause)})`;
			return undefined;
		}
	};
	const append = async (client: string, key: string, token: string, write: () => Promise<unknown>) => {
		const begun = order++;
		const outcome = await write().then(() => 'made' as const, outcomeOf);
		operations.push({ do: 'append', client, key, token, outcome, begun, ended: order++ });
	};
	const act = async (client: string, token: string) => {
		const api = any(servers)();
		const key = any(keys);
		const target = { ...accounts, name: key };
		const kind = random();
		if (kind < 0.4) {
			const body = [{ op: 'add', path: '/secrets/-', value: { name: token } }];
			await append(client, key, token, () => api.patch(target, { type: 'json', body }, {}, admin));
		} else if (kind < 0.7) {
			const found = await read(client, api, key);
			if (!found) return;
			const next = { ...found, secrets: [...(found.secrets ?? []), { name: token }] };
			await append(client, key, token, () => any(servers)().update(target, next, {}, admin));
		} else await read(client, api, key);
	};
	const work = async (client: string) => {
		for (let index = 0; index < options.operations; index++) {
			await before();
			await act(client, `${client}-${index}`);
		}
	};

	/** Watches a server from what it lists on; after 410, and where the server is gone, anew. */
	const stop = new AbortController();
	const watch = async (client: string, server: () => Api) => {
		while (!stop.signal.aborted) {
			const lists = new Map<string, string[][]>();
			try {
				const api = server();
				const { resourceVersion, items } = await api.list(accounts, {}, admin);
				for (const { object } of items) lists.set(object.metadata.name, [tokensOf(object)]);
				for await (const batch of api.watch(accounts, { resourceVersion, signal: stop.signal }, admin))
					for (const event of batch)
						if (event.type !== 'BOOKMARK')
							lists.get(event.stored.object.metadata.name)?.push(tokensOf(event.stored.object as ServiceAccount));
			} catch (cause) {
				outcomeOf(cause);
			}
			for (const [key, seen] of lists) watched.push({ client, key, lists: seen });
			await new Promise((resolve) => setImmediate(resolve));
		}
	};
	const watching = servers.map((server, index) => watch(`w${index}`, server));
	await Promise.all(Array.from({ length: options.clients }, (_, index) => work(`c${index}`)));
	await mend();
	const last = new Map<string, readonly string[]>();
	const end = Date.now() + PATIENCE_MS;
	for (const server of servers) {
		for (const key of keys) {
			let object: ServiceAccount | undefined;
			while (!object && Date.now() < end) object = await read('last', server(), key);
			if (!object) throw new Error(`${key} cannot be read although all is mended: ${fault}`);
			last.set(key, tokensOf(object));
		}
	}
	stop.abort();
	await Promise.all(watching);
	return { operations, watched: watched.filter(({ key }) => keys.includes(key)), last };
}

/** What an error tells of a write. Throws what is no answer of the API. */
function outcomeOf(cause: unknown): Outcome {
	if (!(cause instanceof ApiError)) throw cause;
	return cause.code >= 500 ? 'unknown' : 'refused';
}
