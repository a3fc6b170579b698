/**
 * Which directories of this machine the pods on it have as volumes of claims: a symbolic link in the folder of each pod, made before the
 * first container of the pod can have the volume, and gone with the folder, after the last one. It outlives the agent, and pods that the API
 * has forgotten.
 */
import { readlinkSync } from 'node:fs';
import { mkdir, readdir, readlink, rename, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** As the kubelet names the folders of volumes by their type; that of claims has no other use. */
export const LINKS = 'kubernetes.io~persistent-volume-claim';

const placeOf = (podRoot: string, claim: string) => join(podRoot, 'volumes', LINKS, claim);

/** Where the pod has the volume of the claim; undefined where it has none yet. */
export function linked(podRoot: string, claim: string): string | undefined {
	try {
		return readlinkSync(placeOf(podRoot, claim));
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
		throw error;
	}
}

export async function link(podRoot: string, claim: string, path: string): Promise<void> {
	const place = placeOf(podRoot, claim);
	await mkdir(dirname(place), { recursive: true, mode: 0o750 });
	const fresh = `${place}.new`;
	await rm(fresh, { force: true });
	await symlink(path, fresh);
	await rename(fresh, place);
}

/** The pods, by uid, that have the path as a volume. */
export async function podsWith(podsFolder: string, path: string): Promise<string[]> {
	const found: string[] = [];
	for (const uid of await entries(podsFolder))
		for (const claim of await entries(join(podsFolder, uid, 'volumes', LINKS)))
			if ((await readlink(placeOf(join(podsFolder, uid), claim)).catch(() => undefined)) === path) found.push(uid);
	return found;
}

async function entries(folder: string): Promise<string[]> {
	return readdir(folder).catch((error: NodeJS.ErrnoException) => {
		if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return [];
		throw error;
	});
}
