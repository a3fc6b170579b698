/**
 * DNS messages as bytes. dns-packet decodes; it does not compress names, and without EDNS an answer has 512 bytes, so what is
 * sent is encoded here. Source: RFC 1035 (format), RFC 6891 (EDNS), RFC 2782 (SRV).
 */
import type { Answer } from './names.ts';

/** Seconds that an answer may be kept. */
const TTL = 5;
/** The most that goes into an answer over UDP, so that it is never split into fragments. Source: DNS Flag Day 2020. */
const EDNS_SIZE = 1_232;
/** The largest answer over UDP to a client that does not say what it can take. */
const PLAIN_SIZE = 512;
const LARGEST = 65_535;

const types = { A: 1, CNAME: 5, SOA: 6, PTR: 12, TXT: 16, SRV: 33 } as const;
const OPT = 41;
const IN = 1;

export const codes = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5, BADVERS: 16 } as const;
export type Code = keyof typeof codes;

const RESPONSE = 0x8000;
const AUTHORITATIVE = 0x0400;
const TRUNCATED = 0x0200;
const RECURSION_DESIRED = 0x0100;
const RECURSION_AVAILABLE = 0x0080;
const OPCODE = 0x7800;

export interface Reply {
	readonly code: Code;
	readonly answers?: readonly Answer[];
	readonly additionals?: readonly Answer[];
	/** The zone that the answer comes from, if it is ours; an answer without records says by its SOA how long that holds. */
	readonly zone?: string;
}

export interface Request {
	readonly id: number;
	/** Of the query's header. */
	readonly flags: number;
	/** The question as it was asked; undefined where it could not be read. */
	readonly question?: { readonly name: string; readonly type: number; readonly class: number };
	/** What the client can take over UDP, if it speaks EDNS. */
	readonly edns?: { readonly size: number };
}

/** The scratch that every message is written in. Encoding does not wait for anything, so one is enough. */
const scratch = Buffer.alloc(LARGEST + 1_024);

/** Records that do not fit are left out, and the answer says so. */
export function encode(request: Request, reply: Reply, transport: 'udp' | 'tcp'): Buffer {
	const { edns, question } = request;
	const size = transport === 'tcp' ? LARGEST : Math.min(EDNS_SIZE, Math.max(PLAIN_SIZE, edns?.size ?? PLAIN_SIZE));
	const limit = size - (edns ? 11 : 0);
	const { zone, code, answers = [], additionals = [] } = reply;
	const writer = createWriter();
	if (question) {
		writer.name(question.name);
		writer.uint16(question.type);
		writer.uint16(question.class);
	}
	const written = writer.records(answers, limit);
	const authorities: Answer[] = zone && answers.length === 0 ? [{ type: 'SOA', name: zone, domain: zone }] : [];
	const authority = writer.records(authorities, limit);
	const truncated = written < answers.length;
	let additional = truncated ? 0 : writer.records(additionals, limit);
	if (edns) {
		writer.opt(codes[code]);
		additional++;
	}
	const flags =
		RESPONSE |
		RECURSION_AVAILABLE |
		(request.flags & (OPCODE | RECURSION_DESIRED)) |
		(zone ? AUTHORITATIVE : 0) |
		(truncated ? TRUNCATED : 0) |
		(codes[code] & 0xf);
	return writer.finish([request.id, flags, question ? 1 : 0, written, authority, additional]);
}

function createWriter() {
	let at = 12;
	/** Where a name, or the end of one, was written before; in lower case, as names are compared. */
	const places = new Map<string, number>();
	const uint16 = (value: number) => {
		at = scratch.writeUInt16BE(value, at);
	};
	const uint32 = (value: number) => {
		at = scratch.writeUInt32BE(value, at);
	};
	const name = (text: string, compress = true) => {
		const labels = text === '' || text === '.' ? [] : text.split('.');
		for (let index = 0; index < labels.length; index++) {
			const rest = labels.slice(index).join('.').toLowerCase();
			const place = places.get(rest);
			if (place !== undefined && compress) return uint16(0xc000 | place);
			if (place === undefined && at < 0x4000) places.set(rest, at);
			const length = scratch.write(labels[index] ?? '', at + 1, 63, 'latin1');
			scratch[at] = length;
			at += length + 1;
		}
		scratch[at++] = 0;
	};
	const data = (record: Answer) => {
		switch (record.type) {
			case 'A':
				for (const part of record.ip.split('.')) scratch[at++] = Number(part);
				return;
			case 'SRV':
				uint16(0); // priority
				uint16(100); // weight
				uint16(record.port);
				// Source: RFC 2782, "Name compression is not to be used for this field".
				return name(record.target, false);
			case 'TXT':
				scratch[at] = scratch.write(record.text, at + 1, 255, 'latin1');
				at += (scratch[at] ?? 0) + 1;
				return;
			case 'SOA':
				name(`ns.dns.${record.domain}`);
				name(`hostmaster.${record.domain}`);
				// Serial, refresh, retry, expire; and for how long a name that is not there may be taken as such.
				for (const value of [1, 7_200, 1_800, 86_400, TTL]) uint32(value);
				return;
			default:
				return name(record.target);
		}
	};
	const record = (each: Answer) => {
		name(each.name);
		uint16(types[each.type]);
		uint16(IN);
		uint32(TTL);
		const length = at;
		at += 2;
		data(each);
		scratch.writeUInt16BE(at - length - 2, length);
	};
	return {
		name,
		uint16,
		/** Writes as many as end before the limit; returns how many. */
		records(all: readonly Answer[], limit: number): number {
			let count = 0;
			for (const each of all) {
				const start = at;
				record(each);
				if (at > limit) {
					at = start;
					for (const [rest, place] of places) if (place >= start) places.delete(rest);
					break;
				}
				count++;
			}
			return count;
		},
		opt(code: number) {
			scratch[at++] = 0;
			uint16(OPT);
			uint16(EDNS_SIZE);
			// The upper bits of the code, version 0, no flags, no options.
			uint32((code >> 4) << 24);
			uint16(0);
		},
		finish(header: readonly number[]): Buffer {
			header.forEach((value, index) => {
				scratch.writeUInt16BE(value, index * 2);
			});
			return Buffer.from(scratch.subarray(0, at));
		},
	};
}
