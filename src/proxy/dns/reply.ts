/** From the bytes of a query to those of its answer. */
import * as packet from 'dns-packet';
import { type Code, encode, type Reply, type Request } from './encode.ts';
import type { DnsMetrics } from './metrics.ts';
import { type Answer, answer, type Zone, zoneOfName } from './names.ts';
import type { Resolvers } from './resolvers.ts';

export type Transport = 'udp' | 'tcp';

export interface Responder {
	readonly zone: Zone;
	/** Who is asked for a name that is not the cluster's; in lower case. */
	readonly resolversFor: (name: string) => Resolvers;
	/** Where it is counted. */
	readonly metrics?: DnsMetrics;
	/** Whether a client is answered at all: a server that answers everybody is a weapon. */
	serves(client: string): boolean;
}

/** ExternalNames of the cluster that lead to one another: the chain is followed no further. */
const LONGEST_ALIAS_CHAIN = 8;

/** The answer, or undefined where none is due: to what is no query. */
export async function respond(
	query: Buffer,
	client: string,
	transport: Transport,
	responder: Responder,
): Promise<Buffer | undefined> {
	const request = read(query);
	if (!request) return undefined;
	const began = performance.now();
	const name = request.fault ? '' : request.name.toLowerCase();
	const zone = request.fault ? undefined : zoneOfName(name, responder.zone);
	const response = await answerTo({ request, name, zone, query, client, transport }, responder);
	const seconds = (performance.now() - began) / 1_000;
	responder.metrics?.answered({ transport, type: request.fault ? undefined : request.type, zone, response, seconds });
	return response;
}

interface Asked {
	readonly request: Read;
	readonly name: string;
	/** The cluster's zone that the name is in. */
	readonly zone: string | undefined;
	readonly query: Buffer;
	readonly client: string;
	readonly transport: Transport;
}

async function answerTo(
	{ request, name, zone: ours, query, client, transport }: Asked,
	responder: Responder,
): Promise<Buffer> {
	const refuse = (code: Code) => encode(request, { code }, transport);
	if (!responder.serves(client)) return refuse('REFUSED');
	if (request.fault) return refuse(request.fault);
	const { zone } = responder;
	if (!ours) return (await responder.resolversFor(name).ask(query, transport, client)) ?? refuse('SERVFAIL');
	// "There is no such name" would be kept by the client, so it is not said before it is known.
	if (!zone.ready) return refuse('SERVFAIL');
	const answers = answer(name, request.type, zone);
	if (!answers) return encode(request, { code: 'NXDOMAIN', zone: ours }, transport);
	const [first] = answers;
	if (first?.type === 'CNAME') {
		const followed = request.type === 'A' ? await follow(first.target, responder, client) : [];
		return encode(request, { code: 'NOERROR', zone: ours, answers: [first, ...followed] }, transport);
	}
	const reply: Reply = { code: 'NOERROR', zone: ours, answers: rotate(answers), additionals: addressesOf(answers) };
	return encode(request, reply, transport);
}

/** Begins anywhere: many clients take the first address, and not all shall take the same. */
function rotate(answers: readonly Answer[]): readonly Answer[] {
	const start = Math.floor(Math.random() * answers.length);
	return [...answers.slice(start), ...answers.slice(0, start)];
}

/** The addresses of what SRV records name, so that nobody need ask for them. */
function addressesOf(answers: readonly Answer[]): Answer[] {
	const found = new Map<string, Answer>();
	for (const each of answers)
		if (each.type === 'SRV' && each.ip) found.set(each.target, { type: 'A', name: each.target, ip: each.ip });
	return [...found.values()];
}

/** The addresses behind an ExternalName, as far as they can be found. */
async function follow(target: string, { zone, resolversFor }: Responder, client: string): Promise<Answer[]> {
	const chain: Answer[] = [];
	let name = target.toLowerCase();
	for (let hops = 0; hops < LONGEST_ALIAS_CHAIN && zoneOfName(name, zone); hops++) {
		const answers = answer(name, 'A', zone) ?? [];
		chain.push(...answers);
		const [next] = answers;
		if (next?.type !== 'CNAME') return chain;
		name = next.target.toLowerCase();
	}
	if (zoneOfName(name, zone)) return chain;
	const query = packet.encode({
		type: 'query',
		id: Math.floor(Math.random() * 65_536),
		flags: packet.RECURSION_DESIRED,
		questions: [{ type: 'A', name, class: 'IN' }],
	});
	const bytes = await resolversFor(name).ask(query, 'udp', client);
	for (const each of (bytes && packet.decode(bytes).answers) ?? []) {
		if (each.type === 'A') chain.push({ type: 'A', name: each.name, ip: each.data });
		else if (each.type === 'CNAME') chain.push({ type: 'CNAME', name: each.name, target: each.data });
	}
	return chain;
}

type Read = Request &
	({ readonly fault: Code } | { readonly fault?: undefined; readonly name: string; readonly type: string });

/** What the bytes ask; undefined where they are no query at all, which is never answered: two servers would talk for ever. */
function read(bytes: Buffer): Read | undefined {
	if (bytes.length < 12) return undefined;
	const id = bytes.readUInt16BE(0);
	const flags = bytes.readUInt16BE(2);
	if (flags & 0x8000) return undefined;
	if ((flags >> 11) & 0xf) return { id, flags, fault: 'NOTIMP' };
	let decoded: packet.DecodedPacket;
	try {
		decoded = packet.decode(bytes);
	} catch {
		// What is wrong with it is the client's to know.
		return { id, flags, fault: 'FORMERR' };
	}
	const [asked, ...more] = decoded.questions ?? [];
	if (!asked || more.length > 0) return { id, flags, fault: 'FORMERR' };
	const name = asked.name === '.' ? '' : asked.name;
	const end = questionEnd(bytes);
	const question = { name, type: bytes.readUInt16BE(end), class: bytes.readUInt16BE(end + 2) };
	const opt = decoded.additionals?.find((each) => each.type === 'OPT');
	const edns = opt?.type === 'OPT' ? { size: opt.udpPayloadSize } : undefined;
	const request: Request = { id, flags, question, edns };
	if (opt?.type === 'OPT' && opt.ednsVersion !== 0) return { ...request, fault: 'BADVERS' };
	if (asked.class !== 'IN') return { ...request, fault: 'REFUSED' };
	return { ...request, name, type: asked.type };
}

/** Where the name of the question ends; it has been decoded, so it has an end. */
function questionEnd(bytes: Buffer): number {
	let at = 12;
	for (let length = bytes[at] ?? 0; length > 0; length = bytes[at] ?? 0) {
		if (length >= 0xc0) return at + 2;
		at += length + 1;
	}
	return at + 1;
}
