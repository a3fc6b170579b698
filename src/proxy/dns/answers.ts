/**
 * Answers of resolvers, kept for as long as they say. What was asked in the very same bytes has the same answer: so the options of
 * a client (EDNS) and the letters of a name are as it wants them. Source: RFC 2308 (of what is not there), RFC 1035, section 7.4.
 */
import { codes } from './encode.ts';
import { numbered, questionOf, type RecordPlace, recordsOf } from './message.ts';

/** The longest that an answer is kept, in ms, whatever it says. */
const LONGEST_MS = 30_000;
/** Bytes of all that are kept, questions and answers; the oldest go. */
const MAX_BYTES = 4 * 1024 * 1024;
/** What one costs beside its bytes, about. */
const OVERHEAD_BYTES = 200;

const SOA = 6;
const OPT = 41;
const TRUNCATED = 0x0200;

interface Kept {
	readonly response: Buffer;
	readonly records: readonly RecordPlace[];
	readonly at: number;
	readonly seconds: number;
}

export interface Answers {
	/** The answer to a query if it is kept, as old as it is: with what is left of its times. */
	get(query: Buffer, transport: Transport): Buffer | undefined;
	/** Keeps an answer, if it is one that may be kept. */
	keep(query: Buffer, transport: Transport, response: Buffer): void;
}

/** What has come by TCP may be too large for UDP. */
type Transport = 'udp' | 'tcp';

/** `now` in ms. */
export function createAnswers(now: () => number): Answers {
	const kept = new Map<string, Kept>();
	let bytes = 0;
	const cost = (key: string, { response }: Kept) => key.length + response.length + OVERHEAD_BYTES;
	const drop = (key: string) => {
		const one = kept.get(key);
		if (one && kept.delete(key)) bytes -= cost(key, one);
	};
	return {
		get(query, transport) {
			const key = keyOf(query, transport);
			const one = kept.get(key);
			if (!one) return undefined;
			const age = Math.floor((now() - one.at) / 1_000);
			if (age < 0 || age >= one.seconds) {
				drop(key);
				return undefined;
			}
			const response = numbered(one.response, query.readUInt16BE(0));
			for (const { type, ttl, ttlAt } of one.records)
				if (type !== OPT) response.writeUInt32BE(Math.max(0, ttl - age), ttlAt);
			return response;
		},
		keep(query, transport, response) {
			const records = recordsOf(response) ?? [];
			const seconds = Math.min(LONGEST_MS / 1_000, secondsOf(response, records));
			if (seconds <= 0 || questionOf(query) !== questionOf(response)) return;
			const key = keyOf(query, transport);
			drop(key);
			// What is kept is its own: the buffer of a socket may be a part of a larger one.
			const one: Kept = { response: Buffer.from(response), records, at: now(), seconds };
			kept.set(key, one);
			bytes += cost(key, one);
			for (const oldest of kept.keys()) {
				if (bytes <= MAX_BYTES) break;
				drop(oldest);
			}
		},
	};
}

/** For how long it holds, in seconds; 0: it is no answer to keep. */
function secondsOf(response: Buffer, records: readonly RecordPlace[]): number {
	if (response.length < 12) return 0;
	const flags = response.readUInt16BE(2);
	const code = flags & 0xf;
	if (flags & TRUNCATED || (code !== codes.NOERROR && code !== codes.NXDOMAIN)) return 0;
	const told = records.filter(({ type }) => type !== OPT).map(({ ttl }) => ttl);
	if (code === codes.NOERROR && records.some(({ section }) => section === 'answer')) return Math.min(...told);
	// That there is nothing holds as long as the zone's SOA says by its last number; without one it is not kept.
	const soa = records.find(({ section, type }) => section === 'authority' && type === SOA);
	return soa ? Math.min(...told, response.readUInt32BE(soa.end - 4)) : 0;
}

/** All of a query but its number. */
export const keyOf = (query: Buffer, transport: Transport): string => `${transport} ${query.toString('latin1', 2)}`;
