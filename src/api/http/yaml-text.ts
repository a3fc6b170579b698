/** Bodies in YAML: the JSON that they stand for, within bounds, and which keys a mapping has twice. */
import type { Document } from 'yaml';
import { ApiError, badRequest } from '../../kinds/status.ts';
import { composeYaml, duplicateKeys, YamlTooLarge } from '../../yaml.ts';
import { limits } from '../limits.ts';
import type { Decoded } from './body.ts';

/** Throws 400 for what is no document of YAML, is too deep or grows too large by its aliases, and 413 for more tokens than a body may have. */
export async function parseYaml(text: string): Promise<Decoded> {
	const document = await only(text);
	if (!document) return { value: null, duplicates: [] };
	const [error] = [...document.errors, ...document.warnings];
	if (error) throw noYaml(`${error.message} at line ${lines(text)(error.pos[0])}`);
	let value: unknown;
	try {
		value = document.toJS({ maxAliasCount: limits.yamlAliases });
	} catch (cause) {
		throw noYaml(cause instanceof Error ? cause.message : String(cause));
	}
	checkGrowth(value);
	return { value, duplicates: duplicatesOf(document, text) };
}

const noYaml = (why: string) => badRequest(`the body is no valid YAML: ${why}`);

async function only(text: string): Promise<Document.Parsed | undefined> {
	let found: Document.Parsed | undefined;
	try {
		for await (const document of composeYaml(text, { depth: limits.depth, tokens: limits.yamlTokens })) {
			if (found) throw noYaml('it has several documents');
			found = document;
		}
	} catch (cause) {
		if (!(cause instanceof YamlTooLarge)) throw cause;
		const message = `the body is too large for YAML: ${cause.message}; JSON may have ${limits.body} bytes`;
		throw new ApiError(413, 'RequestEntityTooLarge', message);
	}
	return found;
}

/** Lines of offsets, each of which lies behind the one before: one pass over the text. */
function lines(text: string): (offset: number) => number {
	let line = 1;
	let at = 0;
	return (offset) => {
		for (let next = text.indexOf('\n', at); next >= 0 && next < offset; next = text.indexOf('\n', at)) {
			line++;
			at = next + 1;
		}
		return line;
	};
}

/** Aliases share what they stand for, until it is written out. */
function checkGrowth(value: unknown): void {
	let left = limits.body;
	const check = (part: unknown, levels: number): void => {
		if (typeof part === 'string') left -= part.length;
		left--;
		if (left < 0) throw noYaml(`its aliases make it larger than ${limits.body} bytes`);
		if (typeof part !== 'object' || part === null) return;
		if (levels === 0) throw noYaml(`it is nested too deeply: mappings and lists may go ${limits.depth} levels deep`);
		for (const [key, member] of Object.entries(part)) {
			left -= key.length;
			check(member, levels - 1);
		}
	};
	check(value, limits.depth);
}

/** In the words of the Go parser. */
function duplicatesOf(document: Document.Parsed, text: string): string[] {
	const lineOf = lines(text);
	return duplicateKeys(document)
		.slice(0, limits.strictErrors)
		.map(({ name, offset }) => `line ${lineOf(offset)}: key ${JSON.stringify(name)} already set in map`);
}
