/** The compressed headers of SPDY/3.1: name and value pairs, one zlib stream a direction. Source: SPDY protocol, draft 3.1, 2.6.10. */
import { constants, createDeflate, createInflate, type Deflate, type Inflate } from 'node:zlib';

/** Longest block of headers, decompressed; those of a remote command are some tens of bytes. */
const LONGEST_BLOCK = 64 * 1024;

export type Headers = ReadonlyMap<string, string>;

export interface HeaderCodec {
	/** Blocks must be given in the order in which they came. Throws where one is malformed. */
	decode(block: Uint8Array): Promise<Headers>;
	encode(headers: Headers): Promise<Buffer>;
	close(): void;
}

export function headerCodec(): HeaderCodec {
	const inflate = createInflate({ dictionary, flush: constants.Z_SYNC_FLUSH });
	const deflate = createDeflate({ dictionary, flush: constants.Z_SYNC_FLUSH });
	return {
		decode: async (block) => parse(await through(inflate, block)),
		encode: (headers) => through(deflate, render(headers)),
		close() {
			inflate.close();
			deflate.close();
		},
	};
}

/** What comes out for what is put in. */
function through(stream: Inflate | Deflate, input: Uint8Array): Promise<Buffer> {
	return new Promise((resolve, reject) => {
		const parts: Buffer[] = [];
		let length = 0;
		const take = () => {
			for (let part = stream.read() as Buffer | null; part; part = stream.read() as Buffer | null) {
				length += part.length;
				parts.push(part);
			}
			if (length > LONGEST_BLOCK) stream.destroy(new Error('the headers are too long'));
		};
		const end = (error?: Error | null) => {
			take();
			stream.off('readable', take);
			stream.off('error', end);
			if (error) reject(error);
			else resolve(Buffer.concat(parts));
		};
		stream.on('readable', take);
		stream.on('error', end);
		stream.write(input, end);
	});
}

function parse(block: Buffer): Headers {
	const headers = new Map<string, string>();
	let at = 0;
	const number = () => {
		const value = block.readUInt32BE(at);
		at += 4;
		return value;
	};
	const text = () => {
		const length = number();
		if (at + length > block.length) throw new Error('the headers are cut off');
		at += length;
		return block.toString('latin1', at - length, at);
	};
	for (let left = number(); left > 0; left--) headers.set(text(), text());
	return headers;
}

function render(headers: Headers): Buffer {
	const texts = [...headers].flat();
	return Buffer.concat([
		word(headers.size),
		...texts.flatMap((text) => [word(text.length), Buffer.from(text, 'latin1')]),
	]);
}

function word(value: number): Buffer {
	const buffer = Buffer.alloc(4);
	buffer.writeUInt32BE(value);
	return buffer;
}

/** The words that the specification gives the compression to begin with, each with its length; zlib checks them by a sum. */
const words = [
	'options|head|post|put|delete|trace|accept|accept-charset|accept-encoding|accept-language|accept-ranges|age|allow',
	'authorization|cache-control|connection|content-base|content-encoding|content-language|content-length|content-location',
	'content-md5|content-range|content-type|date|etag|expect|expires|from|host|if-match|if-modified-since|if-none-match',
	'if-range|if-unmodified-since|last-modified|location|max-forwards|pragma|proxy-authenticate|proxy-authorization|range',
	'referer|retry-after|server|te|trailer|transfer-encoding|upgrade|user-agent|vary|via|warning|www-authenticate|method',
	'get|status|200 OK|version|HTTP/1.1|url|public|set-cookie|keep-alive|origin',
].flatMap((line) => line.split('|'));
const rest = [
	'100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505',
	'203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden',
	'404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable',
	'Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT',
	'chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,',
	'publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.',
].join('');
const dictionary = Buffer.concat([
	...words.flatMap((text) => [word(text.length), Buffer.from(text)]),
	Buffer.from(rest),
]);
