/** The machine's resolvers, which know every name that is not the cluster's. */
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { faults } from '../../client/index.ts';
import type { Log } from '../../log.ts';
import { createAnswers, keyOf } from './answers.ts';
import { type Ask, askTcp, createUdp, type Resolver } from './ask.ts';
import { codes } from './encode.ts';
import { numbered } from './message.ts';

/** Questions that wait for a resolver at once, in all and of one client; more get no answer from here. */
const MAX_WAITING = 1_000;
const MAX_WAITING_OF_CLIENT = 100;
/** How long the list of resolvers is taken as current, in ms. */
const LIST_AGE_MS = 5_000;

export interface Resolvers {
	/** The answer to a whole query, as it came; undefined where no resolver has one or too much waits already. */
	ask(query: Buffer, transport: 'udp' | 'tcp', client: string): Promise<Buffer | undefined>;
}

export interface ResolversOptions {
	/** The resolvers to ask, in order; asked for again now and then. */
	readonly list: () => Promise<readonly Resolver[]>;
	readonly log: Log;
	/** A clock in ms, of any beginning. */
	readonly now?: () => number;
}

/**
 * Asks one after the other, first the one that answered last: a dead resolver costs its patience once, not every time. What is
 * known is answered from memory, and what is being asked already is not asked again.
 */
export function createResolvers({ list, log, now = () => performance.now() }: ResolversOptions): Resolvers {
	const known = faults(log);
	const waiting = new Map<string, number>();
	let total = 0;
	let order: readonly Resolver[] = [];
	let listed = '';
	let readAt = Number.NEGATIVE_INFINITY;
	let answers = createAnswers(now);
	const asking = new Map<string, Promise<Buffer | undefined>>();
	const byUdp = new Map<string, Ask>();

	const udpOf = (resolver: Resolver): Ask => {
		const name = nameOf(resolver);
		const ask = byUdp.get(name) ?? createUdp(resolver);
		byUdp.set(name, ask);
		return ask;
	};
	const read = async () => {
		const fresh = await list();
		const text = fresh.map(nameOf).join();
		readAt = now();
		if (text === listed) return;
		listed = text;
		order = fresh;
		byUdp.clear();
		// Other resolvers may know other names, as those of a company's network do.
		answers = createAnswers(now);
	};
	let reading: Promise<void> | undefined;
	const current = async () => {
		if (now() - readAt >= LIST_AGE_MS)
			reading ??= read().finally(() => {
				reading = undefined;
			});
		await reading;
		return order;
	};
	const answered = (resolver: Resolver) => {
		known.healed(resolver.address, 'a resolver answers again', { resolver: resolver.address });
		if (order[0] !== resolver && order.includes(resolver))
			order = [resolver, ...order.filter((each) => each !== resolver)];
	};
	const askAll = async (query: Buffer, transport: 'udp' | 'tcp') => {
		let last: Buffer | undefined;
		for (const resolver of await current()) {
			try {
				const response = await (transport === 'tcp' ? askTcp(query, resolver) : udpOf(resolver)(query));
				last = response;
				const code = (response[3] ?? 0) & 0xf;
				// This one cannot tell; the next one may.
				if (code === codes.SERVFAIL || code === codes.REFUSED || code === codes.NOTIMP) continue;
				answered(resolver);
				return response;
			} catch (error) {
				known.failed(resolver.address, error, 'a resolver of this machine does not answer', {
					resolver: resolver.address,
				});
			}
		}
		return last;
	};
	/** Several who ask the same at once wait for one answer: who forges has one number to guess, not many. */
	const askOnce = async (query: Buffer, transport: 'udp' | 'tcp') => {
		const key = keyOf(query, transport);
		const answer = asking.get(key) ?? askAll(query, transport).finally(() => asking.delete(key));
		asking.set(key, answer);
		const response = await answer;
		if (response) answers.keep(query, transport, response);
		return response && numbered(response, query.readUInt16BE(0));
	};
	return {
		async ask(query, transport, client) {
			await current();
			const kept = answers.get(query, transport);
			if (kept) return kept;
			const mine = waiting.get(client) ?? 0;
			if (total >= MAX_WAITING || mine >= MAX_WAITING_OF_CLIENT) return undefined;
			total++;
			waiting.set(client, mine + 1);
			try {
				return await askOnce(query, transport);
			} finally {
				total--;
				const left = (waiting.get(client) ?? 1) - 1;
				if (left > 0) waiting.set(client, left);
				else waiting.delete(client);
			}
		},
	};
}

const nameOf = ({ address, port = 53 }: Resolver) => `${address} ${port}`;

/** The nameservers of a resolv.conf, less this server itself. */
export async function resolversOf(path: string, self: string): Promise<Resolver[]> {
	const text = await readFile(path, 'utf8').catch(() => '');
	return [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)].flatMap(([, address = '']) =>
		isIP(address.split('%')[0] ?? '') && address !== self ? [{ address }] : [],
	);
}
