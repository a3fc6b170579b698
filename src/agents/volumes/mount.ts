/** Mounts, by the programs mount and umount. Linux, root only. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

export const canMount = () => process.getuid?.() === 0;

/** A file system in memory. `size` in bytes; half of the machine's memory where none is given. */
export async function mountTmpfs(path: string, size?: number, mode = '0777'): Promise<void> {
	const options = [`mode=${mode}`, ...(size ? [`size=${size}`] : [])].join(',');
	await run('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path]);
}

/** Makes `source` visible at `target`. The source is taken as it is: no link in it is resolved by the program. */
export async function bind(source: string, target: string): Promise<void> {
	await run('mount', ['--no-canonicalize', '--bind', source, target]);
}

/** Undoes every mount at or below `path`, the innermost first. */
export async function unmountBelow(path: string): Promise<void> {
	for (const point of (await mountsBelow(path)).reverse()) await run('umount', [point]);
}

/** The mount points at or below `path`, in the order in which they were made. */
export async function mountsBelow(path: string): Promise<string[]> {
	const table = await readFile('/proc/self/mountinfo', 'utf8').catch(() => '');
	const points = table.split('\n').map((line) => unescaped(line.split(' ')[4] ?? ''));
	return points.filter((point) => point === path || point.startsWith(`${path}/`));
}

/** mountinfo writes blanks and the like as three octal digits. */
const unescaped = (text: string) =>
	text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
