/**
 * What JSON.parse does not tell: how deep a text goes, and which fields an object has twice. One pass over the bytes of a
 * text that is known to be JSON.
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

/** Returns a message for each field that occurs twice, up to `limits.strictErrors`. Throws 400 where the text is nested too deeply. */
export function checkJson(text: Uint8Array): readonly string[] {
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
				level.field = Buffer.from(text.buffer, text.byteOffset + start, at - start).toString();
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
				if (levels.length > limits.depth)
					throw badRequest(`the body is nested too deeply: objects and lists may go ${limits.depth} levels deep`);
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

function pathOf(levels: readonly Level[]): string {
	let path = '';
	for (const level of levels) {
		if (level.fields) path += path ? `.${level.field}` : level.field;
		else path += `[${level.index}]`;
	}
	return path;
}
