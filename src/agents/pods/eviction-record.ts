/** That a pod is evicted, as a file among the pod's own: so that an agent that ends meanwhile finishes what it has begun. */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Eviction } from '../pressure/evictor.ts';
import { podFiles } from './files.ts';

export async function rememberEviction(dataDir: string, uid: string, eviction: Eviction): Promise<void> {
	const { evicted } = podFiles(dataDir, uid);
	await mkdir(dirname(evicted), { recursive: true, mode: 0o750 });
	await writeFile(`${evicted}.new`, JSON.stringify(eviction));
	await rename(`${evicted}.new`, evicted);
}

/** What was remembered before the agent restarted. */
export async function recallEviction(dataDir: string, uid: string): Promise<Eviction | undefined> {
	const text = await readFile(podFiles(dataDir, uid).evicted, 'utf8').catch(() => '');
	return text ? (JSON.parse(text) as Eviction) : undefined;
}
