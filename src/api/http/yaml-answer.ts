/** Answers in YAML. An object of very many parts is written as JSON, which any reader of YAML takes: that costs no more than reading it. */
import { stringify } from 'yaml';
import { limits } from '../limits.ts';

/** The rules of YAML 1.1 put in quotes what any reader might take for something else than text. */
const style = { version: '1.1', lineWidth: 0, aliasDuplicateObjects: false } as const;

/** The text of an object. */
export const yamlOf = (object: object): string =>
	isLong(object) ? `${JSON.stringify(object)}\n` : stringify(object, style);

/** The lines of an object in a list, which is the last field of its document. */
export function yamlItem(object: object): string {
	if (isLong(object)) return `  - ${JSON.stringify(object)}\n`;
	const list = stringify({ items: [object] }, style);
	return list.slice(list.indexOf('\n') + 1);
}

function isLong(object: object): boolean {
	let left: number = limits.yamlParts;
	const count = (value: unknown): boolean => {
		if (typeof value !== 'object' || value === null) return left > 0;
		for (const part of Object.values(value)) if (--left <= 0 || !count(part)) return false;
		return true;
	};
	return !count(object);
}
