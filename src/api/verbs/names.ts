/** Generated names and uids. */
import { randomBytes, randomUUID } from 'node:crypto';

/** No vowels and no characters that look alike, so that no words come about. Source: apimachinery/pkg/util/rand. */
const alphabet = 'bcdfghjklmnpqrstvwxz2456789';
const suffix = 5;
/** Longest base that is kept, so that the whole name stays a label value (63). */
const longestBase = 63 - suffix;

/** The base with five random characters. */
export function generateName(base: string): string {
	let name = base.slice(0, longestBase);
	for (const byte of randomBytes(suffix)) name += alphabet[byte % alphabet.length];
	return name;
}

export const newUid = (): string => randomUUID();
