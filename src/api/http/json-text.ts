/**
 * What JSON.parse does not tell: how deep a text goes, and which fields an object has twice. A text whose value has as many
 * members as it has colons has none twice, and nothing need be read of their names.
 */
import { badRequest } from '../../kinds/status.ts';
import { limits } from '../limits.ts';

const quote = 0x22;
const backslash = 0x5c;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const colon = 0x3a;
const comma = 0x2c;

/** An object or a list that the scan is in. */
interface Level {
	/** Fields seen; undefined in a list. */
	readonly fields: Set<string> | undefined;
	field: string;
	index: number;
}

/**
 * Looks at a text that is JSON, and at the value that was read from it. Returns a message for each field that occurs twice, up
 * to `limits.strictErrors`. Throws 400 where the text is nested too deeply.
 */
export function checkJson(text: Uint8Array, value: unknown): readonly string[] {
	return membersOf(text) === countMembers(value) ? none : duplicatesOf(text);
}

const none: readonly string[] = [];

/** How many members the objects of a text have, those that are written twice counted twice. Throws 400 where it is nested too deeply. */
function membersOf(text: Uint8Array): number {
	let members = 0;
	let depth = 0;
	for (let at = 0; at < text.length; at++) {
		switch (text[at]) {
			case quote:
				for (at++; text[at] !== quote && at < text.length; at++) if (text[at] === backslash) at++;
				break;
			case openBrace:
			case openBracket:
				if (++depth > limits.depth) throw tooDeep();
				break;
			case closeBrace:
			case closeBracket:
				depth--;
				break;
			case colon:
				members++;
				break;
		}
	}
	return members;
}

/** How many members the objects of a value have; its depth is bounded. */
function countMembers(value: unknown): number {
	if (typeof value !== 'object' || value === null) return 0;
	let members = 0;
	if (Array.isArray(value)) for (const item of value) members += countMembers(item);
	else for (const key in value) members += 1 + countMembers((value as Record<string, unknown>)[key]);
	return members;
}

const tooDeep = () => badRequest(`the body is nested too deeply: objects and lists may go ${limits.depth} levels deep`);

function duplicatesOf(text: Uint8Array): readonly string[] {
	const levels: Level[] = [];
	const duplicates: string[] = [];
	let expectsField = false;
	let level: Level | undefined;
	for (let at = 0; at < text.length; at++) {
		switch (text[at]) {
			case quote: {
				const start = at + 1;
				for (at = start; text[at] !== quote && at < text.length; at++) if (text[at] === backslash) at++;
				if (!expectsField || !level?.fields) break;
				level.field = nameOf(Buffer.from(text.buffer, text.byteOffset + start, at - start).toString());
				if (!level.fields.has(level.field)) level.fields.add(level.field);
				else if (duplicates.length < limits.strictErrors) duplicates.push(`duplicate field "${pathOf(levels)}"`);
				expectsField = false;
				break;
			}
			case openBrace:
			case openBracket: {
				const isObject = text[at] === openBrace;
				level = { fields: isObject ? new Set() : undefined, field: '', index: 0 };
				levels.push(level);
				expectsField = isObject;
				break;
			}
			case closeBrace:
			case closeBracket:
				levels.pop();
				level = levels.at(-1);
				expectsField = false;
				break;
			case colon:
				expectsField = false;
				break;
			case comma:
				if (level) level.index++;
				expectsField = level?.fields !== undefined;
				break;
		}
	}
	return duplicates;
}

/** A name may be written in several ways: `a` is also `\u0061`. */
const nameOf = (written: string): string => (written.includes('\\') ? JSON.parse(`"${written}"`) : written);

function pathOf(levels: readonly Level[]): string {
	let path = '';
	for (const level of levels) {
		if (level.fields) path += path ? `.${level.field}` : level.field;
		else path += `[${level.index}]`;
	}
	return path;
}
