/** The entries of a ConfigMap or Secret, as the options of `create` give them. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { UserError } from '../user-error.ts';

export interface KeyValueOptions {
	/** `key=value`. */
	readonly fromLiteral?: readonly string[];
	/** `path`, `key=path`, or a folder, whose files become entries. */
	readonly fromFile?: readonly string[];
	/** Files of `KEY=value` lines. */
	readonly fromEnvFile?: readonly string[];
}

/** Names with their content, in the order given. Throws a UserError for what cannot be read, and for a name that comes twice. */
export async function readEntries(options: KeyValueOptions): Promise<ReadonlyMap<string, Uint8Array>> {
	const entries = new Map<string, Uint8Array>();
	const add = (key: string, value: Uint8Array | string) => {
		if (entries.has(key)) throw new UserError(`the key ${JSON.stringify(key)} is given twice`);
		entries.set(key, typeof value === 'string' ? Buffer.from(value) : value);
	};
	try {
		for (const argument of options.fromFile ?? [])
			for (const [key, path] of await filesOf(argument)) add(key, await readFile(path));
		for (const path of options.fromEnvFile ?? [])
			for (const [key, value] of parseEnv(await readFile(path, 'utf8'), path)) add(key, value);
	} catch (error) {
		if (error instanceof UserError) throw error;
		throw new UserError(`a file cannot be read: ${(error as Error).message}`, 1);
	}
	for (const argument of options.fromLiteral ?? []) {
		const mark = argument.indexOf('=');
		if (mark < 1) throw new UserError(`--from-literal takes KEY=VALUE, and got ${JSON.stringify(argument)}`);
		add(argument.slice(0, mark), argument.slice(mark + 1));
	}
	return entries;
}

/** Keys with the paths of their files. Of a folder: its files, without what is below. */
async function filesOf(argument: string): Promise<[key: string, path: string][]> {
	const mark = argument.indexOf('=');
	if (mark === 0 || mark === argument.length - 1)
		throw new UserError(`--from-file takes PATH or KEY=PATH, and got ${JSON.stringify(argument)}`);
	if (mark > 0) return [[argument.slice(0, mark), argument.slice(mark + 1)]];
	if (!(await stat(argument)).isDirectory()) return [[basename(argument), argument]];
	const names = (await readdir(argument)).sort();
	const files: [string, string][] = [];
	for (const name of names) {
		const path = join(argument, name);
		if ((await stat(path)).isFile()) files.push([name, path]);
	}
	return files;
}

/** `KEY=value` lines; empty ones and those that begin with # are left out. `KEY` alone takes its value from the environment. */
export function parseEnv(
	text: string,
	path: string,
	env: Readonly<Record<string, string | undefined>> = process.env,
): [key: string, value: string][] {
	return text.split(/\r?\n/).flatMap((whole, index): [string, string][] => {
		const line = whole.trimStart();
		if (line === '' || line.startsWith('#')) return [];
		const mark = line.indexOf('=');
		if (mark === 0) throw new UserError(`${path}:${index + 1}: a line is KEY=value, and this one has no key`, 1);
		if (mark > 0) return [[line.slice(0, mark), line.slice(mark + 1)]];
		return [[line, env[line] ?? '']];
	});
}

/** Whether bytes are text, and so may stand in `data` of a ConfigMap. */
export function asText(content: Uint8Array): string | undefined {
	try {
		return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(content);
	} catch {
		return undefined;
	}
}
