/** Kinds without a description of their own: every field, named in words. ConfigMaps and Secrets show their entries apart. */
import type { ConfigMap, KubeObject, Secret } from '../../../kinds/index.ts';
import { type Entry, field, timeText } from './layout.ts';
import { labelFields, nameFields } from './metadata.ts';

export function describeGeneric(object: KubeObject): Entry[] {
	const { apiVersion, kind, metadata, ...rest } = object;
	const { creationTimestamp, generation, resourceVersion, uid, finalizers, ownerReferences, deletionTimestamp } =
		metadata;
	const meta = { deletionTimestamp, finalizers, generation, ownerReferences, resourceVersion, uid };
	return [
		...nameFields(object),
		...labelFields(object),
		field('API Version', apiVersion),
		field('Kind', kind),
		{ label: 'Metadata', under: [field('Creation Timestamp', timeText(creationTimestamp)), ...fieldsOf(meta)] },
		...fieldsOf(rest),
	];
}

/** `.spec.podCIDRs` as `Pod CIDRs`. Names that are data (labels, keys) stay as they are. */
function title(name: string): string {
	if (!/^[a-z][A-Za-z0-9]*$/.test(name)) return name;
	return name.replace(/^./, (first) => first.toUpperCase()).replace(/([a-z0-9])([A-Z])/g, '$1 $2');
}

function fieldsOf(object: object): Entry[] {
	return Object.entries(object)
		.filter(([, value]) => value !== undefined)
		.map(([name, value]) => entryOf(title(name), value));
}

function entryOf(label: string, value: unknown): Entry {
	if (Array.isArray(value)) {
		if (value.length === 0) return field(label, undefined);
		const plain = value.every((item) => typeof item !== 'object' || item === null);
		return plain ? { label, lines: value.map(String) } : { label, under: value.flatMap((item) => itemOf(item)) };
	}
	if (typeof value === 'object' && value !== null) {
		const under = fieldsOf(value);
		return under.length > 0 ? { label, under } : field(label, undefined);
	}
	return field(label, value);
}

const itemOf = (item: unknown): Entry[] =>
	typeof item === 'object' && item !== null ? fieldsOf(item) : [field('Item', item)];

export function describeConfigMap(map: ConfigMap): Entry[] {
	const texts = Object.entries(map.data ?? {}).map(([key, text]): Entry => ({ label: key, lines: text.split('\n') }));
	const bytes = Object.entries(map.binaryData ?? {}).map(([key, base64]) => field(key, size(base64)));
	return [
		...nameFields(map),
		...labelFields(map),
		texts.length > 0 ? { label: 'Data', under: texts } : field('Data', undefined),
		...(bytes.length > 0 ? [{ label: 'Binary Data', under: bytes }] : []),
		...(map.immutable ? [field('Immutable', true)] : []),
	];
}

/** Only how long each value is. */
export function describeSecret(secret: Secret): Entry[] {
	const entries = Object.entries(secret.data ?? {}).map(([key, base64]) => field(key, size(base64)));
	return [
		...nameFields(secret),
		...labelFields(secret),
		field('Type', secret.type),
		entries.length > 0 ? { label: 'Data', under: entries } : field('Data', undefined),
		...(secret.immutable ? [field('Immutable', true)] : []),
	];
}

const size = (base64: string) => `${Buffer.from(base64, 'base64').length} bytes`;
