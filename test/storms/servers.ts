/** A server as a user runs it, a process of its own, started again whenever it ends. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { program } from '../cli/driftless.ts';

const READY = 'driftless is ready';
/** How long it rests when it has ended by itself, in ms. */
const AGAIN_MS = 200;

export interface ServerProcess {
	readonly dataDir: string;
	readonly kubeconfig: string;
	/** Settles when it serves; rejects where it has ended for a reason that another start does not mend. */
	ready(): Promise<void>;
	/** Ends it with SIGKILL; it is started again. */
	kill(): Promise<void>;
	/** Ends it for good, by SIGTERM. @returns its exit status. */
	stop(): Promise<number | null>;
	/** All that it has ever written. */
	output(): string;
}

export interface ServerOptions {
	readonly dataDir: string;
	readonly store: string;
	/** Of its API, also when it is started again. */
	readonly port: number;
	/** What it may end with by itself, since another start mends it. */
	readonly mends?: RegExp;
}

export function superviseServer({ dataDir, store, port, mends }: ServerOptions): ServerProcess {
	let output = '';
	/** Where in it the present process begins, and whether that one serves. */
	let begins = 0;
	let serves = false;
	let child: ChildProcess;
	let over: Promise<void>;
	let failed: Error | undefined;
	let stopping = false;
	const launch = () => {
		begins = output.length;
		const listen = ['--api-address', '127.0.0.1', '--api-port', String(port), '--http-port', '0'];
		const flags = ['--store', store, ...listen, '--advertise-address', '127.0.0.1'];
		// A run that is cut short stops nobody: the kernel then ends the server with whoever started it.
		const started = spawn('setpriv', ['--pdeathsig', 'KILL', program, '--data-dir', dataDir, 'server', ...flags], {
			stdio: ['ignore', 'pipe', 'pipe'],
		});
		child = started;
		for (const stream of [started.stdout, started.stderr])
			stream.setEncoding('utf8').on('data', (text: string) => {
				output += text;
				serves ||= output.includes(READY, begins);
			});
		over = once(started, 'close').then(async ([code]) => {
			if (stopping) return;
			if (code !== null && !mends?.test(/^error:.*/m.exec(output.slice(begins))?.[0] ?? '')) {
				failed = new Error(`${dataDir} ended by itself with ${code}`);
				return;
			}
			serves = false;
			if (code !== null) await sleep(AGAIN_MS);
			if (!stopping) launch();
		});
	};
	launch();
	return {
		dataDir,
		kubeconfig: join(dataDir, 'kubeconfig'),
		output: () => output,
		async ready() {
			while (!serves) {
				if (failed) throw failed;
				await sleep(20);
			}
		},
		async kill() {
			const killed = child;
			if (killed.exitCode !== null || killed.signalCode !== null) return;
			const end = once(killed, 'close');
			killed.kill('SIGKILL');
			await end;
			serves = false;
		},
		async stop() {
			stopping = true;
			child.kill('SIGTERM');
			await over;
			return child.exitCode;
		},
	};
}
