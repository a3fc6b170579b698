/** Ends what Docker has begun in a container and cannot end by itself. */
import { readFile } from 'node:fs/promises';

/**
 * Kills a command that runs beside a container's own, with what it has started: it leads a process group of its own. Docker's
 * API begins commands and has no call to end them. Nothing happens where this machine has no such process in the container:
 * the engine may be in a machine of its own, and numbers of processes come round again.
 */
export async function killCommand(pid: number, containerId: string): Promise<void> {
	const cgroups = await readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => '');
	if (!cgroups.includes(containerId)) return;
	try {
		process.kill(-pid, 'SIGKILL');
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
	}
}
