/**
 * The way from client-side to server-side apply with kubectl: fields that client-side apply last set, and that still are as
 * it set them, are no conflict for the manager `kubectl`; and the annotation stays true, so that one can go back.
 * Source: Kubernetes documentation, "Server-Side Apply", "Upgrading from client-side apply".
 */
import { difference } from '../../kinds/fieldset.ts';
import { isFields, type MapType } from '../../kinds/mergetype.ts';
import type { Dynamic, FieldsV1 } from '../../kinds/object.ts';
import { compare } from './compare.ts';
import { fieldsOf } from './fields.ts';

/** The field manager of `kubectl apply --server-side`. */
export const kubectl = 'kubectl';

export const lastAppliedAnnotation = 'kubectl.kubernetes.io/last-applied-configuration';

/** The fields of the last client-side apply that the live object still has with the same values; undefined where there was none. */
export function lastAppliedFields(type: MapType, live: Dynamic): FieldsV1 | undefined {
	const text = live.metadata.annotations?.[lastAppliedAnnotation];
	if (!text) return undefined;
	let config: unknown;
	try {
		config = JSON.parse(text);
	} catch {
		// A broken annotation grants nothing: the conflicts stand and say what is wrong.
		return undefined;
	}
	if (!isFields(config) || config.apiVersion !== live.apiVersion) return undefined;
	const delta = compare(type, config, live);
	return difference(difference(fieldsOf(type, config, true), delta?.changed), delta?.removed);
}

/** The object with its annotation, where it has one, set to what was applied now. */
export function withLastApplied(object: Dynamic, applied: Dynamic): Dynamic {
	const { annotations } = object.metadata;
	const before = annotations?.[lastAppliedAnnotation];
	if (!before) return object;
	const text = `${JSON.stringify(inOrder(withoutAnnotation(applied)))}\n`;
	if (text === before) return object;
	return {
		...object,
		metadata: { ...object.metadata, annotations: { ...annotations, [lastAppliedAnnotation]: text } },
	};
}

function withoutAnnotation(applied: Dynamic): Dynamic {
	const { [lastAppliedAnnotation]: _, ...annotations } = applied.metadata.annotations ?? {};
	return { ...applied, metadata: { ...applied.metadata, annotations } };
}

function inOrder(value: unknown): unknown {
	if (Array.isArray(value)) return value.map(inOrder);
	if (!isFields(value)) return value;
	return Object.fromEntries(
		Object.keys(value)
			.sort()
			.map((key) => [key, inOrder(value[key])]),
	);
}
