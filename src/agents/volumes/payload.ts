/** The files of configMap, secret, downwardAPI and projected volumes. Source: Kubernetes API reference, Volume. */
import type * as core from 'kubernetes-types/core/v1.js';
import type { Pod } from '../../kinds/index.ts';
import type { Objects } from '../pods/environment.ts';
import { type Place, podField, resourceField } from '../pods/fields.ts';
import type { PayloadFile } from './atomic.ts';
import { VolumeError } from './error.ts';

const DEFAULT_MODE = 0o644;

type Files = Map<string, PayloadFile>;

/** The files of a volume that is made of API objects; undefined for every other kind of volume. Throws VolumeError. */
export function payloadOf(pod: Pod, volume: core.Volume, objects: Objects, place: Place): Files | undefined {
	const { configMap, secret, downwardAPI, projected } = volume;
	if (configMap) return fromConfigMap(pod, configMap, configMap.defaultMode, objects);
	if (secret) return fromSecret(pod, { ...secret, name: secret.secretName }, secret.defaultMode, objects);
	if (downwardAPI) return fromDownward(pod, downwardAPI.items ?? [], downwardAPI.defaultMode, place);
	if (!projected) return undefined;
	const files: Files = new Map();
	for (const source of projected.sources ?? []) {
		for (const [path, file] of projection(pod, source, projected.defaultMode, objects, place)) files.set(path, file);
	}
	return files;
}

/** Names of the config maps and secrets whose change changes the pod's volumes. */
export function referencedObjects(pod: Pod): { readonly configMaps: Set<string>; readonly secrets: Set<string> } {
	const configMaps = new Set<string>();
	const secrets = new Set<string>();
	for (const volume of pod.spec.volumes ?? []) {
		if (volume.configMap?.name) configMaps.add(volume.configMap.name);
		if (volume.secret?.secretName) secrets.add(volume.secret.secretName);
		for (const source of volume.projected?.sources ?? []) {
			if (source.configMap?.name) configMaps.add(source.configMap.name);
			if (source.secret?.name) secrets.add(source.secret.name);
		}
	}
	return { configMaps, secrets };
}

function projection(
	pod: Pod,
	source: core.VolumeProjection,
	mode: number | undefined,
	objects: Objects,
	place: Place,
): Files {
	if (source.configMap) return fromConfigMap(pod, source.configMap, mode, objects);
	if (source.secret) return fromSecret(pod, source.secret, mode, objects);
	if (source.downwardAPI) return fromDownward(pod, source.downwardAPI.items ?? [], mode, place);
	const kind = Object.keys(source)[0] ?? 'an empty source';
	throw new VolumeError(`projected volumes of ${kind} are not supported: use configMap, secret or downwardAPI`);
}

interface Reference {
	readonly name?: string;
	readonly items?: readonly core.KeyToPath[];
	readonly optional?: boolean;
}

function fromConfigMap(pod: Pod, reference: Reference, mode: number | undefined, objects: Objects): Files {
	const namespace = pod.metadata.namespace ?? '';
	const { name = '', optional } = reference;
	const map = objects.configMap(namespace, name);
	if (!map && !optional) throw new VolumeError(`configmap "${name}" not found`);
	const data = new Map<string, Uint8Array>();
	for (const [key, text] of Object.entries(map?.data ?? {})) data.set(key, Buffer.from(text));
	for (const [key, base64] of Object.entries(map?.binaryData ?? {})) data.set(key, Buffer.from(base64, 'base64'));
	return select(data, reference, mode, `configmap references non-existent config key`);
}

function fromSecret(pod: Pod, reference: Reference, mode: number | undefined, objects: Objects): Files {
	const namespace = pod.metadata.namespace ?? '';
	const { name = '', optional } = reference;
	const secret = objects.secret(namespace, name);
	if (!secret && !optional) throw new VolumeError(`secret "${name}" not found`);
	const data = new Map<string, Uint8Array>();
	for (const [key, base64] of Object.entries(secret?.data ?? {})) data.set(key, Buffer.from(base64, 'base64'));
	return select(data, reference, mode, `references non-existent secret key`);
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

function fromDownward(
	pod: Pod,
	items: readonly core.DownwardAPIVolumeFile[],
	mode = DEFAULT_MODE,
	place: Place,
): Files {
	const files: Files = new Map();
	for (const item of items) {
		let text: string | undefined;
		if (item.fieldRef) text = podField(pod, item.fieldRef.fieldPath, place);
		else if (item.resourceFieldRef) text = resourceField(pod, item.resourceFieldRef, '', place);
		if (text === undefined) throw new VolumeError(`downward API field ${item.fieldRef?.fieldPath} is not supported`);
		files.set(checkPath(item.path), { content: Buffer.from(text), mode: item.mode ?? mode });
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
