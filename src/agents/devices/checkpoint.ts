/**
 * What is allocated, and which resources plugins have brought, in a file: it is written before a container starts with its
 * devices, and survives the agent. What cannot be read is told, and what containers say of themselves stands in for it.
 */
import { open, readFile, rename } from 'node:fs/promises';
import type { Allocation } from './ledger.ts';

const VERSION = 1;

export interface Checkpoint {
	readonly resources: readonly string[];
	readonly allocations: readonly Allocation[];
}

/** Undefined where there is none. Throws where it cannot be read or is broken. */
export async function readCheckpoint(file: string): Promise<Checkpoint | undefined> {
	let text: string;
	try {
		text = await readFile(file, 'utf8');
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
		throw error;
	}
	const found = JSON.parse(text) as Partial<Checkpoint & { readonly version: number }> | null;
	if (found?.version !== VERSION) throw new Error(`it has version ${found?.version}, and this reads ${VERSION}`);
	const { resources, allocations } = found;
	if (!isTexts(resources) || !Array.isArray(allocations) || !allocations.every(isAllocation))
		throw new Error('it has not the form of a checkpoint');
	return { resources, allocations };
}

/** Whole or not at all, and on the disk when it settles. */
export async function writeCheckpoint(file: string, { resources, allocations }: Checkpoint): Promise<void> {
	const draft = `${file}.new`;
	{
		await using handle = await open(draft, 'w', 0o600);
		await handle.writeFile(JSON.stringify({ version: VERSION, resources, allocations }));
		await handle.sync();
	}
	await rename(draft, file);
}

const isTexts = (value: unknown): value is string[] =>
	Array.isArray(value) && value.every((one) => typeof one === 'string');

function isAllocation(value: unknown): value is Allocation {
	const { uid, container, resource, ids, grant } = (value ?? {}) as Record<string, unknown>;
	if (!isTexts([uid, container, resource]) || !isTexts(ids)) return false;
	if (grant === undefined) return true;
	const { env, mounts, devices, annotations, cdi, gpus } = (grant ?? {}) as Record<string, unknown>;
	const isMap = (one: unknown) => typeof one === 'object' && one !== null && isTexts(Object.values(one));
	return (
		isMap(env) && isMap(annotations) && Array.isArray(mounts) && Array.isArray(devices) && isTexts(cdi) && isTexts(gpus)
	);
}
