/** What pods use, read for the moment in which that decides. */
import { join } from 'node:path';
import type { Pod } from '../../kinds/index.ts';
import type { DiskMeter, FigureReader } from '../figures/index.ts';
import { podFiles } from '../pods/files.ts';
import type { Mirror } from '../pods/mirror.ts';
import { uidOf } from '../pods/names.ts';
import type { DiskUse } from './local-storage.ts';
import type { Use } from './rank.ts';

/** What was walked so lately is not walked again. */
const FRESH_MS = 10_000;

export interface UseReader {
	readonly figures: FigureReader;
	readonly disk: DiskMeter;
	readonly mirror: Mirror;
	readonly dataDir: string;
}

/** Memory and processes of a pod, by the kernel or the engine. */
export async function useOf({ figures, mirror }: UseReader, pod: Pod): Promise<Use> {
	const annotations = pod.metadata.annotations ?? {};
	let [memory, tasks] = [0, 0];
	const containers = new Map<string, { memory?: number; disk?: number }>();
	for (const part of mirror.of(uidOf(pod))) {
		const found = await figures.read(part, annotations);
		if (part.kind === 'container' && found) containers.set(part.name, { memory: found.workingSet });
		memory += found?.workingSet ?? 0;
		tasks += found?.tasks ?? 0;
		const whole = part.kind === 'sandbox' ? figures.pod(part)?.figures : undefined;
		if (whole)
			return { memory: whole.workingSet, tasks: whole.tasks, containers: await memories(figures, mirror, pod) };
	}
	return { memory, tasks, containers };
}

async function memories(figures: FigureReader, mirror: Mirror, pod: Pod) {
	const found = new Map<string, { memory?: number; disk?: number }>();
	for (const part of mirror.of(uidOf(pod)))
		if (part.kind === 'container')
			found.set(part.name, { memory: (await figures.read(part, pod.metadata.annotations ?? {}))?.workingSet });
	return found;
}

/** What of the disk the pod takes: walked now, where that was not done just before. */
export async function diskUseOf(
	{ disk, mirror, dataDir }: UseReader,
	pod: Pod,
): Promise<DiskUse & { readonly bytes: number; readonly inodes: number }> {
	const volumes = new Map<string, number>();
	const containers = new Map<string, number>();
	let [bytes, inodes] = [0, 0];
	const measure = async (path: string | undefined): Promise<number> => {
		const use = path === undefined ? undefined : await disk.measure(path, FRESH_MS);
		bytes += use?.bytes ?? 0;
		inodes += use?.inodes ?? 0;
		return use?.bytes ?? 0;
	};
	const { root } = podFiles(dataDir, uidOf(pod));
	for (const { name, emptyDir } of pod.spec.volumes ?? [])
		if (emptyDir && emptyDir.medium !== 'Memory')
			volumes.set(name, await measure(join(root, 'volumes/kubernetes.io~empty-dir', name)));
	for (const part of mirror.of(uidOf(pod))) {
		if (part.kind !== 'container') continue;
		const own = (await measure(part.writes?.layer)) + (await measure(part.writes?.log));
		containers.set(part.name, (containers.get(part.name) ?? 0) + own);
	}
	return { volumes, containers, bytes, inodes };
}
