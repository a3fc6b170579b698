/** A device plugin under test, as a process that can be told, killed and stopped. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { PluginState } from './device-plugin-process.ts';
import { eventually } from './node.ts';

const program = fileURLToPath(new URL('device-plugin-process.ts', import.meta.url));

export interface Call {
	readonly method?: string;
	readonly request?: Readonly<Record<string, unknown>>;
	readonly registered?: string;
	readonly refused?: string;
}

export interface TestPlugin extends AsyncDisposable {
	/** All that it has been asked, in order. */
	readonly calls: readonly Call[];
	/** The requests of a method so far. */
	asked(method: string): readonly unknown[];
	/** Waits until it has been registered, or refused; gives what it was refused with. */
	outcome(nth?: number): Promise<string | undefined>;
	tell(state: Partial<PluginState>): void;
	signal(signal: NodeJS.Signals): void;
	kill(): Promise<void>;
}

export function startPlugin(folder: string, resource: string, state: PluginState): TestPlugin {
	const child = spawn(process.execPath, [program, folder, resource, JSON.stringify(state)], {
		stdio: ['pipe', 'pipe', 'inherit'],
	});
	const exit = once(child, 'exit');
	const calls: Call[] = [];
	createInterface(child.stdout).on('line', (line) => calls.push(JSON.parse(line) as Call));
	child.stdin.on('error', () => {});
	const kill = async () => {
		child.kill('SIGKILL');
		await exit;
	};
	return {
		calls,
		asked: (method) => calls.filter((call) => call.method === method).map(({ request }) => request),
		async outcome(nth = 0) {
			const found = await eventually(`the plugin of ${resource} is answered`, async () => {
				if (child.exitCode !== null) throw new Error(`the plugin has ended with ${child.exitCode}`);
				return calls.filter(({ registered, refused }) => registered !== undefined || refused !== undefined)[nth];
			});
			return found.refused;
		},
		tell: (more) => void child.stdin.write(`${JSON.stringify(more)}\n`),
		signal: (signal) => void child.kill(signal),
		kill,
		[Symbol.asyncDispose]: kill,
	};
}
