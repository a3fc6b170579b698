/** Mounts, by the programs mount and umount. Linux, root only. */
import { readFile } from 'node:fs/promises';
import { run } from './program.ts';

/** What is mounted where, as this process sees it. Source: proc(5). */
const TABLE = '/proc/self/mountinfo';

export const canMount = () => process.getuid?.() === 0;

/** A file system in memory, owned by the group. `size` in bytes; half of the machine's memory where it is 0 or absent. */
export async function mountTmpfs(
	path: string,
	{ size, mode, group }: { readonly size?: number; readonly mode: number; readonly group?: number },
	signal: AbortSignal,
): Promise<void> {
	const options = [`mode=${mode.toString(8)}`];
	if (size) options.push(`size=${size}`);
	if (group !== undefined) options.push(`gid=${group}`);
	await succeed('mount', ['-t', 'tmpfs', '-o', options.join(','), 'tmpfs', path], signal);
}

/** Makes `source` visible at `target`. The source is taken as it is: no link in it is resolved by the program. */
export async function bind(source: string, target: string, signal: AbortSignal): Promise<void> {
	await succeed('mount', ['--no-canonicalize', '--bind', source, target], signal);
}

/** Undoes every mount at or below `path`, the innermost first. Throws where one stays. */
export async function unmountBelow(
	path: string,
	signal: AbortSignal,
	{ timeoutMs, table }: { readonly timeoutMs?: number; readonly table?: string } = {},
): Promise<void> {
	for (const point of (await mountsBelow(path, table)).reverse()) await succeed('umount', [point], signal, timeoutMs);
	const left = await mountsBelow(path, table);
	if (left.length > 0) throw new Error(`still mounted below ${path}: ${left.join(', ')}`);
}

/**
 * The mount points at or below `path`, in the order in which they were made. Throws where that cannot be told: what looks
 * like an ordinary directory then may be somebody's data.
 */
export async function mountsBelow(path: string, table = TABLE): Promise<string[]> {
	const text = await readFile(table, 'utf8');
	if (!text) throw new Error(`${table} does not say what is mounted`);
	const points = text.split('\n').map((line) => unescaped(line.split(' ')[4] ?? ''));
	return points.filter((point) => point === path || point.startsWith(`${path}/`));
}

/** mountinfo writes blanks and the like as three octal digits. */
const unescaped = (text: string) =>
	text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));

async function succeed(
	program: string,
	args: readonly string[],
	signal: AbortSignal,
	timeoutMs?: number,
): Promise<void> {
	const { code, said } = await run(program, args, signal, timeoutMs);
	if (code !== 0) throw new Error(said || `${program} ended with ${code}`);
}
