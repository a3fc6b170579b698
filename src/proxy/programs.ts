/** The kernel's tables and addresses, through the programs that own them: the only code that calls nft, ip and iptables. Never a shell. */
import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';

/** No call takes longer, in ms. */
const TIMEOUT_MS = 20_000;
/** Not through PATH: an npm package has a program called nft too. */
const directories = ['/usr/sbin', '/sbin', '/usr/local/sbin', '/usr/bin', '/bin'];

export class ProgramError extends Error {
	override readonly name = 'ProgramError';
}

async function find(program: string, packageName: string): Promise<string> {
	for (const directory of directories) {
		const path = `${directory}/${program}`;
		if (
			await access(path, constants.X_OK).then(
				() => true,
				() => false,
			)
		)
			return path;
	}
	throw new ProgramError(`${program} is not installed: apt-get install ${packageName}`);
}

async function run(program: string, packageName: string, args: readonly string[], input = ''): Promise<string> {
	const path = await find(program, packageName);
	return new Promise((resolve, reject) => {
		const child = execFile(
			path,
			args,
			{ timeout: TIMEOUT_MS, maxBuffer: 16 * 1024 * 1024 },
			(error, stdout, stderr) => {
				if (!error) return resolve(stdout);
				const first = stderr.trim().split('\n')[0] ?? '';
				reject(new ProgramError(`${program} ${args.join(' ')}: ${first || error.message}`));
			},
		);
		child.stdin?.on('error', () => {});
		child.stdin?.end(input);
	});
}

/** Runs a script as one transaction: all of it happens, or nothing. */
export const nft = (script: string): Promise<string> => run('nft', 'nftables', ['-f', '-'], script);

/** Whether a chain is there. */
export const chainExists = (table: string, chain: string): Promise<boolean> =>
	run('nft', 'nftables', ['list', 'chain', 'ip', table, chain]).then(
		() => true,
		() => false,
	);

export const ip = (...args: readonly string[]): Promise<string> => run('ip', 'iproute2', args);

export const iptables = (...args: readonly string[]): Promise<string> =>
	run('iptables', 'iptables', ['-w', '5', ...args]);

/** Loads a kernel module; false where the kernel has none such or it is built in under no name. */
export const loadModule = (name: string): Promise<boolean> =>
	run('modprobe', 'kmod', [name]).then(
		() => true,
		() => false,
	);
