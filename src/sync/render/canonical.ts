/** One form for equal content, so that an object has the same hash however its file is written. */
import { hash } from 'node:crypto';
import { MAX_OBJECT_BYTES } from './limits.ts';

/** Thrown where the canonical form would grow beyond MAX_OBJECT_BYTES: aliases can make a small file stand for a huge object. */
export class TooLarge extends Error {}

/** The hash of plain data, with the keys of its mappings in order. Freezes it deeply on the way. Throws TooLarge; a number that JSON cannot carry throws a RangeError. */
export function freezeAndHash(value: unknown): string {
	const budget = { left: MAX_OBJECT_BYTES };
	return hash('sha256', write(value, budget), 'base64url');
}

function write(value: unknown, budget: { left: number }): string {
	if (value === null || typeof value !== 'object') {
		if (typeof value === 'number' && !Number.isFinite(value))
			throw new RangeError(`${value} is no number that JSON can carry`);
		return spend(JSON.stringify(value) ?? 'null', budget);
	}
	Object.freeze(value);
	let text = '';
	if (Array.isArray(value)) {
		for (const item of value) text += `${text && ','}${write(item, budget)}`;
		return `[${text}]`;
	}
	const fields = value as Record<string, unknown>;
	for (const key of Object.keys(fields).sort()) {
		text += `${text && ','}${spend(JSON.stringify(key), budget)}:${write(fields[key], budget)}`;
	}
	return `{${text}}`;
}

function spend(text: string, budget: { left: number }): string {
	budget.left -= text.length + 1;
	if (budget.left < 0) throw new TooLarge();
	return text;
}
