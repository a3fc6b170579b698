/** The scale subresource: replicas of any kind that declares where it keeps them. Source: Kubernetes API reference, autoscaling/v1 Scale. */

import type { Kind } from '../../kinds/kind.ts';
import { isFields } from '../../kinds/mergetype.ts';
import type { Dynamic, Meta } from '../../kinds/object.ts';
import { selectorText } from '../../kinds/selectors.ts';
import { badRequest } from '../../kinds/status.ts';

export interface Scale {
	readonly apiVersion: 'autoscaling/v1';
	readonly kind: 'Scale';
	readonly metadata: Pick<Meta, 'name' | 'namespace' | 'uid' | 'resourceVersion' | 'creationTimestamp'>;
	readonly spec: { readonly replicas: number };
	/** `selector` is a label selector in its text form. */
	readonly status: { readonly replicas: number; readonly selector?: string };
}

/** The Scale of an object. Throws ApiError 400 where its kind has none. */
export function readScale(kind: Kind, object: Dynamic): Scale {
	const paths = scaleOf(kind);
	const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
	const selector = paths.selector ? selectorText(valueAt(object, paths.selector)) : undefined;
	return {
		apiVersion: 'autoscaling/v1',
		kind: 'Scale',
		metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
		spec: { replicas: count(valueAt(object, paths.spec)) },
		status: { replicas: count(valueAt(object, paths.status)), ...(selector !== undefined && { selector }) },
	};
}

/** The object with that many replicas: a copy along the path, `object` itself where it has them. Throws ApiError 400 as readScale. */
export function writeScale(kind: Kind, object: Dynamic, replicas: number): Dynamic {
	const fields = split(scaleOf(kind).spec);
	const put = (value: unknown, depth: number): unknown => {
		const field = fields[depth];
		if (field === undefined) return replicas;
		const container = isFields(value) ? value : {};
		const changed = put(container[field], depth + 1);
		return changed === container[field] ? container : { ...container, [field]: changed };
	};
	return put(object, 0) as Dynamic;
}

function scaleOf(kind: Kind) {
	const { scale } = kind.subresources;
	if (!scale) throw badRequest(`${kind.plural} have no scale subresource`);
	return scale;
}

const split = (path: string) => path.split('.').filter((field) => field !== '');

function valueAt(object: unknown, path: string): unknown {
	let value = object;
	for (const field of split(path)) value = isFields(value) ? value[field] : undefined;
	return value;
}

const count = (value: unknown) => (typeof value === 'number' ? value : 0);
