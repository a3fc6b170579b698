/** Answers in YAML. An object of very many parts is written as JSON, which any reader of YAML takes: that costs no more than reading it. */
import { Document, Scalar, stringify, visit } from 'yaml';
import { limits } from '../limits.ts';

/** The rules of YAML 1.1 put in quotes what any reader might take for something else than text. */
const style = { version: '1.1', lineWidth: 0, aliasDuplicateObjects: false } as const;

/** The text of an object. */
export const yamlOf = (object: object): string => (isLong(object) ? `${flow(object)}\n` : blocks(object));

/** The lines of an object in a list, which is the last field of its document. */
export function yamlItem(object: object): string {
	if (isLong(object)) return `  - ${flow(object)}\n`;
	const list = blocks({ items: [object] });
	return list.slice(list.indexOf('\n') + 1);
}

/**
 * Characters that readers refuse, take for ends of lines, or drop at the head of what they read: they are written by their numbers,
 * which JSON does not ask for. Source: YAML 1.1, 5.1 and 5.4.
 */
const SPECIAL = /[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]/;
const escaped = (text: string) =>
	text.replaceAll(
		new RegExp(SPECIAL, 'g'),
		(character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
	);

const flow = (object: object): string => escaped(JSON.stringify(object));

function blocks(object: object): string {
	const text = stringify(object, style);
	if (!SPECIAL.test(text) && !text.includes('\t')) return text;
	const document = new Document(object, style);
	visit(document, {
		Scalar(_, scalar) {
			const { value } = scalar;
			if (typeof value === 'string' && needsQuotes(value)) scalar.type = Scalar.QUOTE_DOUBLE;
		},
	});
	return escaped(document.toString({ ...style, doubleQuotedAsJSON: true }));
}

/** A tab is no fault within lines of their own, but at the head of them it is taken for indentation, and PyYAML takes none in text without quotes. */
const needsQuotes = (text: string) =>
	SPECIAL.test(text) || (text.includes('\t') && (!text.includes('\n') || /^\s*\t/.test(text)));

/** A line of a text takes about so much less than a part of an object. */
const LINES_A_PART = 10;

function isLong(object: object): boolean {
	let left: number = limits.yamlParts;
	const count = (value: unknown): boolean => {
		if (typeof value === 'string')
			for (let at = value.indexOf('\n'); at >= 0 && left > 0; at = value.indexOf('\n', at + 1))
				left -= 1 / LINES_A_PART;
		if (typeof value !== 'object' || value === null) return left > 0;
		for (const part of Object.values(value)) if (--left <= 0 || !count(part)) return false;
		return true;
	};
	return !count(object);
}
