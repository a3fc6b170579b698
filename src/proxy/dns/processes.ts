/** The processes of cluster DNS as the machine knows them, whether they already, still or no more listen to anybody. */
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

/** A process that has not ended by then is killed, in ms. */
const STOP_MS = 10_000;
/** Between looks at what ends, in ms. */
const LOOK_MS = 20;

/** Ends every process that was started with this file of configuration, but for `except`, and waits until they are gone. */
export async function endProcesses(file: string, except?: number): Promise<void> {
	const deadline = performance.now() + STOP_MS;
	const asked = new Set<number>();
	for (;;) {
		const left = (await processesOf(file)).filter((pid) => pid !== except);
		if (left.length === 0) return;
		const late = performance.now() > deadline;
		for (const pid of left) {
			if (late) send(pid, 'SIGKILL');
			else if (!asked.has(pid)) send(pid, 'SIGTERM');
			asked.add(pid);
		}
		await delay(LOOK_MS);
	}
}

/** One that has ended has no command line any more. */
async function processesOf(file: string): Promise<number[]> {
	const all = (await readdir('/proc')).map(Number).filter((pid) => pid > 0);
	const lines = await Promise.all(all.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')));
	return all.filter((_, index) => lines[index]?.endsWith(`/dns/program.ts\0${file}\0`));
}

function send(pid: number, signal: NodeJS.Signals): void {
	try {
		process.kill(pid, signal);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
	}
}
