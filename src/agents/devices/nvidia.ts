/** GPUs of NVIDIA without a plugin: the engine has a runtime that gives them, and the driver says which there are. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { NOTHING } from './grant.ts';
import type { Provider } from './plugin.ts';

export const GPU_RESOURCE = 'nvidia.com/gpu';
/** A folder for each GPU. Source: NVIDIA driver's README, "The /proc interface". */
export const GPU_FOLDER = '/proc/driver/nvidia/gpus';

/** The UUIDs of the GPUs that the machine's driver has, by the address of the bus; none where there is no driver. */
export async function listGpus(folder: string): Promise<readonly string[]> {
	const gpus = (await readdir(folder).catch(() => [])).sort();
	const texts = await Promise.all(
		gpus.map((gpu) => readFile(join(folder, gpu, 'information'), 'utf8').catch(() => '')),
	);
	return texts.flatMap((text) => /^GPU UUID:\s*(GPU-[-\w]+)$/m.exec(text)?.[1] ?? []);
}

/** The engine's own runtime as what a plugin is elsewhere: it needs to be told the GPUs, and nothing else. */
export const gpuRuntime: Provider = {
	preStartRequired: false,
	prefer: async () => [],
	allocate: async (ids) => ({ ...NOTHING, gpus: [...ids] }),
	preStart: async () => {},
};
