/** The kernel's tables, links and routes, through the programs that own them: the only code that runs nft, ip, iptables and conntrack. Never a shell. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { createInterface } from 'node:readline';

/** No call takes longer, in ms. */
const TIMEOUT_MS = 20_000;
/** The most that a program may print. */
const MAX_OUTPUT_BYTES = 64 << 20;
/** Not through PATH: an npm package has a program called nft too. */
const directories = ['/usr/sbin', '/sbin', '/usr/local/sbin', '/usr/bin', '/bin'];

/** The Debian package of each program. */
const packages = {
	nft: 'nftables',
	ip: 'iproute2',
	iptables: 'iptables',
	conntrack: 'conntrack',
	modprobe: 'kmod',
	setpriv: 'util-linux',
} as const;

export type Program = keyof typeof packages;

export class ProgramError extends Error {
	override readonly name = 'ProgramError';
	/** It was ended because it took too long: what it was to do may be done or not. */
	readonly late: boolean;

	constructor(message: string, late = false) {
		super(message);
		this.late = late;
	}
}

/** Where a program lies; undefined where it is not installed. */
export function find(program: Program): string | undefined {
	return directories.map((directory) => `${directory}/${program}`).find(isExecutable);
}

/** Where a program lies. Throws with what to install. */
export function need(program: Program): string {
	const path = find(program);
	if (path) return path;
	throw new ProgramError(`${program} is not installed: apt-get install ${packages[program]}`);
}

/** Its standard output. Throws what it said, or that it is not installed. */
async function run(program: Program, args: readonly string[], input = ''): Promise<string> {
	const path = need(program);
	return new Promise((resolve, reject) => {
		const options = { timeout: TIMEOUT_MS, maxBuffer: MAX_OUTPUT_BYTES };
		const child = execFile(path, args, options, (error, stdout, stderr) => {
			if (!error) return resolve(stdout);
			const said = stderr.trim().split('\n')[0] || (error.killed ? 'did not end in time' : error.message);
			reject(new ProgramError(`${program} ${args.join(' ')}: ${said}`, error.killed));
		});
		// A program that ends before it has read its input breaks the pipe; its exit code tells why.
		child.stdin?.on('error', () => {});
		child.stdin?.end(input);
	});
}

/** Runs a script as one transaction: all of it happens, or nothing. */
export const nft = (script: string): Promise<string> => run('nft', ['-f', '-'], script);

/** Answers of `nft -j list ...`. */
export const nftList = (...what: readonly string[]): Promise<string> => run('nft', ['-j', 'list', ...what]);

export const ip = (...args: readonly string[]): Promise<string> => run('ip', args);

/** Several commands of `ip` by one process. Throws when one has failed; the others are carried out all the same. */
export const ipBatch = (commands: readonly string[]): Promise<string> =>
	run('ip', ['-force', '-batch', '-'], `${commands.join('\n')}\n`);

/** Answers of `ip -j -4 ...`: a list of objects. */
export async function ipList<T>(...args: readonly string[]): Promise<T[]> {
	const text = await ip('-j', '-4', ...args);
	return text.trim() === '' ? [] : JSON.parse(text);
}

export const iptables = (...args: readonly string[]): Promise<string> => run('iptables', ['-w', '5', ...args]);

export const conntrack = (...args: readonly string[]): Promise<string> => run('conntrack', args);

export const modprobe = (module: string): Promise<string> => run('modprobe', [module]);

/** The lines that a program prints until it ends or the signal aborts; then it is gone. Throws when it ends with an error of its own. */
export async function* linesOf(program: Program, args: readonly string[], signal: AbortSignal): AsyncIterable<string> {
	const command = [need(program), ...args];
	// So that it ends with us when we are killed; otherwise it would end only at its next line.
	const setpriv = find('setpriv');
	const [path = '', ...rest] = setpriv ? [setpriv, '--pdeathsig', 'KILL', '--', ...command] : command;
	const child = spawn(path, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
	const closed = once(child, 'close');
	// Whoever does not wait for it need not know; it is waited for below.
	closed.catch(() => {});
	let said = '';
	child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
		said = (said + chunk).slice(0, 500);
	});
	const kill = () => child.kill('SIGKILL');
	signal.addEventListener('abort', kill, { once: true });
	if (signal.aborted) kill();
	try {
		yield* createInterface({ input: child.stdout });
		await closed;
		if (!signal.aborted)
			throw new ProgramError(`${program} ${args.join(' ')} has ended: ${said.trim() || 'said nothing'}`);
	} finally {
		signal.removeEventListener('abort', kill);
		kill();
		await closed;
	}
}

function isExecutable(path: string): boolean {
	try {
		accessSync(path, constants.X_OK);
		return true;
	} catch {
		return false;
	}
}
