/** The files of volumes that are made of API objects. Source: Kubernetes API reference, Volume. */
import { mkdir } from 'node:fs/promises';
import type * as core from 'kubernetes-types/core/v1.js';
import { type Payload, type PayloadFile, writeAtomically } from './atomic.ts';
import { VolumeError } from './error.ts';
import { canMount, mountsBelow, mountTmpfs } from './mount.ts';
import type { PodView, SourceKey, VolumeContext } from './type.ts';

const DEFAULT_MODE = 0o644;

type Files = Map<string, PayloadFile>;

interface Reference {
	readonly name?: string;
	readonly items?: readonly core.KeyToPath[];
	readonly optional?: boolean;
}

/** The files of a config map, or the chosen ones. Throws VolumeError. */
export function configMapFiles(pod: PodView, reference: Reference, mode: number | undefined): Files {
	const { name = '', optional } = reference;
	const map = pod.configMap(name);
	if (!map && !optional) throw new VolumeError(`configmap "${name}" not found`);
	const data = new Map<string, Uint8Array>();
	for (const [key, text] of Object.entries(map?.data ?? {})) data.set(key, Buffer.from(text));
	for (const [key, base64] of Object.entries(map?.binaryData ?? {})) data.set(key, Buffer.from(base64, 'base64'));
	return select(data, reference, mode, `configmap references non-existent config key`);
}

/** The files of a secret, or the chosen ones. Throws VolumeError. */
export function secretFiles(pod: PodView, reference: Reference, mode: number | undefined): Files {
	const { name = '', optional } = reference;
	const secret = pod.secret(name);
	if (!secret && !optional) throw new VolumeError(`secret "${name}" not found`);
	const data = new Map<string, Uint8Array>();
	for (const [key, base64] of Object.entries(secret?.data ?? {})) data.set(key, Buffer.from(base64, 'base64'));
	return select(data, reference, mode, `references non-existent secret key`);
}

/** The files that tell a pod of itself. Throws VolumeError. */
export function downwardFiles(
	pod: PodView,
	items: readonly core.DownwardAPIVolumeFile[] = [],
	mode = DEFAULT_MODE,
): Files {
	const files: Files = new Map();
	for (const item of items) {
		let text: string | undefined;
		if (item.fieldRef) text = pod.field(item.fieldRef.fieldPath);
		else if (item.resourceFieldRef) text = pod.resource(item.resourceFieldRef);
		if (text === undefined) throw new VolumeError(`downward API field ${item.fieldRef?.fieldPath} is not supported`);
		files.set(checkPath(item.path), { content: Buffer.from(text), mode: item.mode ?? mode });
	}
	return files;
}

/** Brings the volume's folder to the files; in memory where they are secret, if that can be had. */
export async function writePayload(
	{ path, pod: { group, signal } }: VolumeContext<SourceKey>,
	payload: Payload,
	secret = false,
): Promise<void> {
	await mkdir(path, { recursive: true, mode: 0o755 });
	if (secret && canMount() && (await mountsBelow(path)).length === 0) {
		await mountTmpfs(path, { mode: 0o755 }, signal);
	}
	await writeAtomically(path, payload, group);
}

/** All keys, or those of the items under their paths. */
function select(
	data: Map<string, Uint8Array>,
	{ items, optional }: Reference,
	mode = DEFAULT_MODE,
	missing: string,
): Files {
	const files: Files = new Map();
	if (!items?.length) {
		for (const [key, content] of data) files.set(checkPath(key), { content, mode });
		return files;
	}
	for (const item of items) {
		const content = data.get(item.key);
		if (content) files.set(checkPath(item.path), { content, mode: item.mode ?? mode });
		else if (!optional) throw new VolumeError(`${missing}: ${item.key}`);
	}
	return files;
}

/** A path must not lead out of the volume, nor touch the names that the swap needs. */
function checkPath(path: string): string {
	if (path.startsWith('/') || path.startsWith('..') || path.split('/').includes('..')) {
		throw new VolumeError(`path "${path}" must be relative, without ".." and not start with ".."`);
	}
	return path;
}
