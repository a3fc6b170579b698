/** One file's bytes to objects: what depends on the content alone, and so is kept by blob id, wherever the file lies. */
import type { Document } from 'yaml';
import type { Dynamic } from '../../kinds/object.ts';
import { freezeAndHash, TooLarge } from './canonical.ts';
import { bytes, MAX_OBJECT_BYTES } from './limits.ts';
import type { FieldPath } from './render.ts';
import { offsetOf, parseYaml, reparse, type YamlDocument } from './yaml.ts';

export interface Place {
	readonly line: number;
	readonly column: number;
}

export interface BlobFault extends Place {
	readonly field?: string;
	readonly message: string;
}

export interface BlobObject extends Place {
	readonly object: Dynamic;
	readonly hash: string;
	locate(path: FieldPath): Place;
}

export interface Blob {
	readonly objects: readonly BlobObject[];
	/** Documents that lack what every object has: told in `faults`, and here for what else is wrong with them. */
	readonly broken: readonly BlobObject[];
	readonly faults: readonly BlobFault[];
	/** Documents that are no Kubernetes object and do not pretend to be one. */
	readonly ignored: readonly BlobFault[];
	/** Memory it is worth, about. */
	readonly weight: number;
}

/** Never rejects for what the bytes hold. `json`: the file claims to be JSON, and must be. */
export async function parseBlob(content: Uint8Array, json: boolean): Promise<Blob> {
	const text = decode(content);
	if (typeof text === 'object') return faulty(text);
	if (json) {
		const fault = jsonFault(text);
		if (fault) return faulty(fault);
	}
	const collected: Collected = { text, objects: [], broken: [], faults: [], ignored: [], json, place: placer(text) };
	for await (const document of parseYaml(text)) {
		collect(document, collected);
	}
	const { objects, broken, faults, ignored } = collected;
	return { objects, broken, faults, ignored, weight: 1000 + content.byteLength * 4 };
}

/** A file of which nothing can be read. */
export const faulty = (fault: BlobFault): Blob => ({
	objects: [],
	broken: [],
	faults: [fault],
	ignored: [],
	weight: 100,
});

function decode(content: Uint8Array): string | BlobFault {
	if (content.includes(0)) return { line: 1, column: 1, message: 'binary content: a manifest is text in UTF-8' };
	try {
		return new TextDecoder('utf-8', { fatal: true }).decode(content);
	} catch {
		const valid = new TextDecoder().decode(content).split('\ufffd', 1)[0] ?? '';
		return { ...placer(valid)(valid.length), message: 'not valid UTF-8 from here on' };
	}
}

function jsonFault(text: string): BlobFault | undefined {
	try {
		JSON.parse(text);
		return undefined;
	} catch (error) {
		const message = error instanceof Error ? error.message : String(error);
		const at = /position (\d+)/.exec(message);
		if (/after JSON at position/.test(message))
			return {
				...placer(text)(at ? Number(at[1]) : text.length),
				message: 'not JSON: a file holds one document; put several objects into a List, or into a .yaml file',
			};
		const reason = message
			.replace(/ in JSON at position.*$/s, '')
			.replace(/ in JSON$/, '')
			.replace(/, ".*$/s, '');
		return { ...placer(text)(at ? Number(at[1]) : text.length), message: `not JSON: ${reason}` };
	}
}

/** Lines and columns of offsets. Counts on from the last one asked for: offsets that grow cost one pass over the text. */
function placer(text: string): (offset: number) => Place {
	let line = 1;
	let start = 0;
	let last = 0;
	return (offset) => {
		if (offset < last) {
			line = 1;
			start = 0;
		}
		last = offset;
		for (let next = text.indexOf('\n', start); next >= 0 && next < offset; next = text.indexOf('\n', start)) {
			line++;
			start = next + 1;
		}
		return { line, column: offset - start + 1 };
	};
}

interface Collected {
	readonly text: string;
	readonly objects: BlobObject[];
	readonly broken: BlobObject[];
	readonly faults: BlobFault[];
	readonly ignored: BlobFault[];
	readonly json: boolean;
	readonly place: (offset: number) => Place;
}

function collect(document: YamlDocument, into: Collected): void {
	for (const fault of document.faults) into.faults.push({ ...into.place(fault.offset), message: fault.message });
	if (document.value === undefined) return;
	let ast: WeakRef<Document.Parsed> | undefined;
	const { text, start, end } = { text: into.text, start: document.start, end: document.end };
	const locate = (path: FieldPath): Place => {
		let tree = ast?.deref();
		if (!tree) {
			tree = reparse(text, start, end);
			ast = new WeakRef(tree);
		}
		return placer(text)(start + offsetOf(tree, path));
	};
	const now = (path: FieldPath) => placer(text)(document.base + offsetOf(document.ast, path));
	expand(document.value, [], { ...into, locate, now, at: into.place(document.offset) });
}

interface Expanding extends Collected {
	/** Later: parses the document again. */
	readonly locate: (path: FieldPath) => Place;
	/** Now, while the document's tree is at hand. */
	readonly now: (path: FieldPath) => Place;
	readonly at: Place;
}

/** A document is an object, or a List of them. */
function expand(value: unknown, path: FieldPath, to: Expanding): void {
	const at = path.length ? to.now(path) : to.at;
	if (!isMapping(value)) {
		const message = `expected a Kubernetes object, got ${describe(value)}`;
		if (!path.length && (to.json || isOtherList(value))) to.ignored.push({ ...at, message: `${message}: ignored` });
		else to.faults.push({ ...at, message: isPointer(value) ? POINTER : message });
		return;
	}
	if (!path.length && !Object.keys(value).some((key) => telling.has(key.toLowerCase()))) {
		to.ignored.push({
			...at,
			message: 'no Kubernetes object (it has none of apiVersion, kind, metadata and spec): ignored',
		});
		return;
	}
	if (typeof value.kind === 'string' && value.kind.endsWith('List') && Array.isArray(value.items)) {
		for (const [index, item] of value.items.entries()) expand(item, [...path, 'items', index], to);
		return;
	}
	const faults = identityFaults(value).map(
		({ field, message }): BlobFault => ({ ...to.now([...path, ...field]), field: field.join('.'), message }),
	);
	to.faults.push(...faults);
	try {
		const hash = freezeAndHash(value);
		const object = value as Dynamic; // checked above: the edge where a document becomes an object
		(faults.length ? to.broken : to.objects).push({
			...at,
			object,
			hash,
			locate: (field) => to.locate([...path, ...field]),
		});
	} catch (error) {
		if (error instanceof TooLarge) {
			to.faults.push({
				...at,
				message: `the object is larger than ${bytes(MAX_OBJECT_BYTES)}, the most that the API takes`,
			});
		} else if (error instanceof RangeError) {
			to.faults.push({ ...at, message: error.message });
		} else {
			throw error;
		}
	}
}

/** Keys, in whatever case, of which a document that has one means to be an object. */
const telling = new Set(['apiversion', 'kind', 'metadata', 'spec']);

/** A list of something else: an inventory, a playbook. A list of objects was meant, and wants to be a List. */
function isOtherList(value: unknown): boolean {
	return Array.isArray(value) && !value.some((item) => isMapping(item) && ('apiVersion' in item || 'kind' in item));
}

const isPointer = (value: unknown) =>
	typeof value === 'string' && value.startsWith('version https://git-lfs.github.com/spec/');
const POINTER = 'a pointer of Git LFS, whose content is not here: keep manifests in git itself';

/** What every object must have to be told from others. The rest is its schema's business. */
function identityFaults(value: Record<string, unknown>): { field: string[]; message: string }[] {
	const faults: { field: string[]; message: string }[] = [];
	const wantString = (field: string[], given: unknown) => {
		if (given === undefined) faults.push({ field, message: 'required, and missing' });
		else if (typeof given !== 'string')
			faults.push({ field, message: `expected a string, got ${describe(given)}${quoteIt(given)}` });
		else if (given === '') faults.push({ field, message: 'must not be empty' });
	};
	for (const field of ['apiVersion', 'kind', 'metadata', 'spec']) {
		const slip = Object.keys(value).find((key) => key !== field && key.toLowerCase() === field.toLowerCase());
		if (slip) faults.push({ field: [slip], message: `unknown field: did you mean ${field}?` });
		else if (field === 'apiVersion' || field === 'kind') wantString([field], value[field]);
	}
	const { metadata } = value;
	if (faults.some(({ field: [slip] }) => slip?.toLowerCase() === 'metadata')) {
		// Told already; what is in it is looked at when it is found.
	} else if (metadata === undefined || metadata === null) {
		faults.push({ field: ['metadata', 'name'], message: 'required, and missing' });
	} else if (!isMapping(metadata)) {
		faults.push({ field: ['metadata'], message: `expected a mapping, got ${describe(metadata)}` });
	} else {
		if (metadata.name === undefined && metadata.generateName !== undefined) {
			faults.push({
				field: ['metadata', 'generateName'],
				message: 'a synced object needs a name of its own: each sync would make another one of a generated name',
			});
		} else {
			wantString(['metadata', 'name'], metadata.name);
		}
		// Templates write an empty one for none, as Kubernetes reads it.
		if (metadata.namespace) wantString(['metadata', 'namespace'], metadata.namespace);
	}
	return faults;
}

/** What to do about a value that YAML takes for something other than text. */
export const quoteIt = (value: unknown) =>
	typeof value === 'number' || typeof value === 'boolean' ? ': put it in quotes' : '';

export function isMapping(value: unknown): value is Record<string, unknown> {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A value as a message names it: `the string "three"`, `a list`. */
export function describe(value: unknown): string {
	if (value === null || value === undefined) return 'nothing';
	if (Array.isArray(value)) return 'a list';
	if (typeof value === 'object') return 'a mapping';
	if (typeof value === 'string')
		return `the string ${JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value)}`;
	if (typeof value === 'boolean') return `the boolean ${value}`;
	return `the ${Number.isInteger(value) ? 'integer' : 'number'} ${String(value)}`;
}
