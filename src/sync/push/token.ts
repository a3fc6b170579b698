/** The token that a pusher gives as password. Whoever has it may change everything the repository describes. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const file = (dataDir: string) => join(dataDir, 'git', 'token');

/** DATA/git/token, made at first start, readable by its owner only. Another text in the file is another token from the next start on. */
export async function loadToken(dataDir: string): Promise<string> {
	await mkdir(join(dataDir, 'git'), { recursive: true });
	if (!existsSync(file(dataDir))) {
		// Whole or not at all: the process may be killed in between.
		const draft = `${file(dataDir)}.new`;
		await writeFile(draft, `${randomBytes(24).toString('base64url')}\n`, { mode: 0o600, flush: true });
		await rename(draft, file(dataDir));
	}
	await chmod(file(dataDir), 0o600);
	const token = (await readFile(file(dataDir), 'utf8')).trim();
	if (token.length < 16)
		throw new Error(
			`the token in ${file(dataDir)} is shorter than 16 characters: delete the file, and a new one is made`,
		);
	return token;
}

/** The user name of a Basic authorization whose password is the token; undefined where it is not. In constant time. */
export function authorize(header: string | undefined, token: string): string | undefined {
	const encoded = /^Basic\s+([\w+/=-]+)$/i.exec(header ?? '')?.[1];
	if (!encoded) return undefined;
	const text = Buffer.from(encoded, 'base64').toString('utf8');
	const colon = text.indexOf(':');
	const digest = (secret: string) => createHash('sha256').update(secret).digest();
	const right = timingSafeEqual(digest(colon < 0 ? '' : text.slice(colon + 1)), digest(token));
	return right ? text.slice(0, colon) || 'git' : undefined;
}
