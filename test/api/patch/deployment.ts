/** A Deployment and how tests write to it, with the real schema. */
import { type ApplyInput, serverSideApply, trackUpdate } from '../../../src/api/patch/index.ts';
import type { Dynamic } from '../../../src/kinds/object.ts';
import { loadSchemas } from '../../../src/kinds/schemas.ts';

export const schemas = loadSchemas();
export const schema = schemas['io.k8s.api.apps.v1.Deployment'];

export const t1 = '2025-01-01T00:00:01Z';
export const t2 = '2025-01-01T00:00:02Z';
export const t3 = '2025-01-01T00:00:03Z';

/** As the API hands objects over. */
export function frozen<T>(value: T): T {
	if (typeof value === 'object' && value !== null) {
		for (const child of Object.values(value)) frozen(child);
		Object.freeze(value);
	}
	return value;
}

/** A Deployment manifest of these fields; `spec` is the only one most tests give. */
export const deployment = (fields: Record<string, unknown>, metadata: Record<string, unknown> = {}): Dynamic =>
	frozen({
		apiVersion: 'apps/v1',
		kind: 'Deployment',
		metadata: { name: 'web', namespace: 'default', ...metadata },
		...fields,
	});

/** A Deployment of these containers. */
export const withContainers = (containers: readonly object[], metadata: Record<string, unknown> = {}): Dynamic =>
	deployment({ spec: { template: { spec: { containers } } } }, metadata);

type Options = Partial<Pick<ApplyInput, 'force' | 'subresource' | 'statusSubresource' | 'now'>>;

export const apply = (live: Dynamic | undefined, manager: string, applied: Dynamic, options: Options = {}) =>
	serverSideApply({ live, applied, schema, schemas, manager, force: false, now: t1, ...options });

/** Applies and returns what is stored then. */
export const applied = (live: Dynamic | undefined, manager: string, config: Dynamic, options: Options = {}): Dynamic =>
	frozen(apply(live, manager, config, options).object);

/** Writes `after` as an update and returns what is stored then. */
export function updated(
	before: Dynamic | undefined,
	manager: string,
	after: Dynamic,
	{ now = t1, subresource }: { now?: string; subresource?: string } = {},
): Dynamic {
	const managedFields = trackUpdate({ before, after, schema, schemas, manager, subresource, now });
	return frozen({ ...after, metadata: { ...after.metadata, managedFields } });
}

/** The object with other fields in its spec. */
export const withSpec = (object: Dynamic, spec: Record<string, unknown>): Dynamic =>
	frozen({ ...object, spec: { ...(object.spec as object), ...spec } });

/** The set of fields of a manager. */
export const fieldsOf = (object: Dynamic, manager: string) =>
	object.metadata.managedFields?.find((entry) => entry.manager === manager)?.fieldsV1;

export const managers = (object: Dynamic) =>
	object.metadata.managedFields?.map(({ manager, operation, subresource }) =>
		[manager, operation, subresource].filter(Boolean).join(' '),
	);
