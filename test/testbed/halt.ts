/** Stops processes as they are, and lets them go on. */
import { readdirSync, readFileSync } from 'node:fs';

const PATIENCE_MS = 60_000;

/** Sends the signal. After SIGSTOP it returns when every thread of the process stands: until then each may do some more. */
export function signalProcess(pid: number, signal: 'SIGSTOP' | 'SIGCONT'): void {
	process.kill(pid, signal);
	if (signal === 'SIGCONT') return;
	const end = Date.now() + PATIENCE_MS;
	for (let seen = states(pid); seen.some((state) => !/[TtXZ]/.test(state)); seen = states(pid)) {
		if (Date.now() > end) throw new Error(`process ${pid} goes on after SIGSTOP: its threads are ${seen.join(' ')}`);
		Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
	}
}

/** Of the threads of a process. Source: proc(5), /proc/pid/stat */
function states(pid: number): string[] {
	return readdirSync(`/proc/${pid}/task`).map((thread) => {
		const stat = stateOf(`/proc/${pid}/task/${thread}/stat`);
		return stat.charAt(stat.lastIndexOf(')') + 2) || 'X';
	});
}

/** A thread may end meanwhile. */
function stateOf(path: string): string {
	try {
		return readFileSync(path, 'utf8');
	} catch {
		return '';
	}
}
