/** A JSON document as it goes over the wire, serialized once. */
import { createHash } from 'node:crypto';

export interface Document {
	readonly bytes: Uint8Array;
	/** Its content's hash, for ETag: a document of one hash never changes. */
	readonly hash: string;
}

export function serialize(document: object): Document {
	const bytes = Buffer.from(JSON.stringify(document));
	return { bytes, hash: createHash('sha512').update(bytes).digest('hex').toUpperCase() };
}
