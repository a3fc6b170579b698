/** Reads the body of a request: bounded, and JSON, YAML or protobuf. */
import type { Schemas } from '../../kinds/schema.ts';
import { ApiError, badRequest } from '../../kinds/status.ts';
import { limits } from '../limits.ts';
import { decodeProtobuf, protobufType } from '../protobuf/index.ts';
import type { Request } from './exchange.ts';
import { checkJson } from './json-text.ts';
import { parseYaml } from './yaml-text.ts';

const empty = Buffer.alloc(0);

const tooLarge = () =>
	new ApiError(413, 'RequestEntityTooLarge', `Request entity too large: limit is ${limits.body} bytes`);

/** The bytes of the body. Throws 413 when there are too many; the connection is of no use then. */
export function readBody(request: Request): Promise<Buffer> {
	const announced = Number(request.headers['content-length'] ?? 0);
	if (announced > limits.body) return Promise.reject(tooLarge());
	if (announced === 0 && !isFramed(request)) return Promise.resolve(empty);
	const brokenOff = () => badRequest('the request ended in the middle of its body');
	// Gone while somebody looked up who it is: nothing would tell that any more.
	if (request.destroyed) return Promise.reject(brokenOff());
	return new Promise((resolve, reject) => {
		const chunks: Buffer[] = [];
		let size = 0;
		request.on('data', (chunk: Buffer) => {
			size += chunk.length;
			if (size > limits.body) {
				request.removeAllListeners('data').pause();
				reject(tooLarge());
			} else chunks.push(chunk);
		});
		const broken = () => reject(brokenOff());
		request.on('end', () => {
			request.off('close', broken);
			resolve(chunks.length === 1 ? (chunks[0] ?? empty) : Buffer.concat(chunks));
		});
		// Nothing is wrong here when a client goes, or what it sends is no HTTP.
		request.on('error', broken);
		request.on('close', broken);
	});
}

/** Whether a body may come of which nobody has said how long it is. */
const isFramed = (request: Request) =>
	request.httpVersionMajor > 1 ? !request.complete : request.headers['transfer-encoding'] !== undefined;

/** The media type of a Content-Type header, without its parameters. */
export const mediaType = (request: Request) =>
	(request.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';

export interface Decoded {
	readonly value: unknown;
	/** Messages about fields that occur twice in one object: `duplicate field "spec.replicas"`, in YAML `line 2: key "a" already set in map`. */
	readonly duplicates: readonly string[];
}

/**
 * The value of a request's body in the media types of objects: JSON, YAML and protobuf. Undefined for an empty one. Throws 415
 * for other types, 400 for what is not of its type, 413 where it is too large.
 */
export async function readObject(request: Request, schemas: Schemas): Promise<Decoded> {
	const type = mediaType(request);
	if (type !== '' && !objectTypes.includes(type)) throw unsupported(type, objectTypes);
	const body = await readBody(request);
	if (body.length === 0) return { value: undefined, duplicates: [] };
	if (type === protobufType) return { value: decodeProtobuf(body, schemas), duplicates: [] };
	return await parseBody(body, type === 'application/yaml');
}

const objectTypes = ['application/json', 'application/yaml', protobufType];

/** 415, with the types that would have done. */
export const unsupported = (type: string, supported: readonly string[]) =>
	new ApiError(
		415,
		'UnsupportedMediaType',
		`the body of the request was in an unknown format (${type || 'none'}) - accepted media types include: ${supported.join(', ')}`,
	);

/** The value of a body of JSON, or of YAML where `yaml`. Throws 400 for text that is neither, is too deep, or has too many aliases; 413 for YAML with too many tokens. */
export async function parseBody(body: Buffer, yaml: boolean): Promise<Decoded> {
	const text = body.toString();
	// JSON is YAML too, and most of what is sent as YAML.
	if (!yaml || /^\s*[{[]/.test(text)) {
		try {
			const value: unknown = JSON.parse(text);
			return { value, duplicates: checkJson(body, value) };
		} catch (cause) {
			if (cause instanceof ApiError) throw cause;
			if (!yaml)
				throw badRequest(`the body is no valid JSON: ${cause instanceof Error ? cause.message : String(cause)}`);
		}
	}
	return parseYaml(text);
}
