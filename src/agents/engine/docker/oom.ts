/** Out-of-memory scores: what the machine lets the engine give. */
import { readFile } from 'node:fs/promises';

/** CAP_SYS_RESOURCE, as a bit of the kernel's capability masks. */
const SYS_RESOURCE = 1n << 24n;

/**
 * The lowest out-of-memory score that processes of this machine may be given. Inside a container that may not lower it
 * (no CAP_SYS_RESOURCE in its bounding set) Docker fails on negative scores.
 */
export async function lowestOomScore(): Promise<number> {
	const status = await readFile('/proc/self/status', 'utf8').catch(() => '');
	const bounding = /^CapBnd:\s+([0-9a-f]+)$/m.exec(status)?.[1];
	return bounding && !(BigInt(`0x${bounding}`) & SYS_RESOURCE) ? 0 : -1000;
}
