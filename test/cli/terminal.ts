/** A pseudo terminal (util-linux script) with a shell in it, as a person sits before one. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { follow, type Running } from './driftless.ts';

/** A terminal that is in use for longer hangs: no test types for so long. */
const PATIENCE_MS = 120_000;

export interface Terminal extends Running {
	/** What a person types. */
	type(text: string): void;
	/** The device, to look at its settings and to change its size. */
	device(): string;
	/** Changes the size of the terminal, as a window manager does. */
	resize(columns: number, rows: number): Promise<void>;
	/** Settles with the exit status of the shell's script. */
	readonly ended: Promise<number | null>;
	/** The settings of the terminal before and after what the script did between `before` and `after`. */
	settings(): { readonly before: string; readonly after: string };
	readonly folder: string;
}

/**
 * Runs `script` in a shell on a terminal of 80 columns and 24 rows. The settings of the terminal are noted before it and after
 * it; `$?` is the script's.
 */
export async function onTerminal(
	script: string,
	use: (terminal: Terminal) => Promise<void>,
	env: Readonly<Record<string, string>> = {},
): Promise<void> {
	const folder = mkdtempSync(join(tmpdir(), 'driftless-terminal-'));
	const whole = `tty > ${folder}/tty; stty rows 24 cols 80; stty -g > ${folder}/before; ${script}
status=$?; stty -g > ${folder}/after; exit $status`;
	const child = spawn('script', ['-qec', whole, '/dev/null'], {
		env: { PATH: process.env.PATH, TERM: 'xterm', SHELL: '/bin/sh', ...env },
		stdio: ['pipe', 'pipe', 'pipe'],
	});
	const ended = new Promise<number | null>((resolve, reject) => {
		child.on('error', reject);
		child.on('close', resolve);
	});
	child.stdin.on('error', () => {});
	const read = (name: string) => readFileSync(join(folder, name), 'utf8').trim();
	const terminal: Terminal = {
		...follow(child),
		type: (text) => void child.stdin.write(text),
		device: () => read('tty'),
		resize: (columns, rows) =>
			new Promise((resolve, reject) => {
				const stty = spawn('stty', ['-F', read('tty'), 'rows', String(rows), 'cols', String(columns)]);
				stty.on('error', reject);
				stty.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`stty ended with ${code}`))));
			}),
		ended,
		settings: () => ({ before: read('before'), after: read('after') }),
		folder,
	};
	// Its end ends whatever waits for it, with what it has said.
	const patience = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
	try {
		await use(terminal);
	} finally {
		clearTimeout(patience);
		child.kill('SIGKILL');
		await ended;
		rmSync(folder, { recursive: true, force: true });
	}
}
