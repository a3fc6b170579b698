/** The rules of metadata, which hold for all kinds. Source: Kubernetes API conventions, "Metadata", and apimachinery's messages. */
import { deepEqual } from './equal.ts';
import type { Kind } from './kind.ts';
import { ANNOTATIONS_MAX, asPrefix, dnsLabel, labelValue, type NameCheck, qualifiedName } from './names.ts';
import type { KubeObject, Meta, OwnerReference } from './object.ts';
import { type FieldError, fieldError } from './status.ts';

/** Finalizers that may stand without a domain. */
const standardFinalizers = new Set(['kubernetes', 'orphan', 'foregroundDeletion']);

/** What is wrong with an object's metadata; `name` is the rule of the kind's names. `old` is the stored object on an update. */
export function validateMetadata(
	kind: Pick<Kind, 'custom' | 'namespaced'>,
	object: KubeObject,
	old: KubeObject | undefined,
	name: NameCheck,
): FieldError[] {
	const meta: Partial<Meta> = object.metadata ?? {};
	const errors: FieldError[] = [];
	if (meta.generateName) {
		for (const wrong of asPrefix(name)(meta.generateName))
			errors.push(fieldError.invalid('metadata.generateName', meta.generateName, wrong));
	}
	if (meta.name) {
		for (const wrong of name(meta.name)) errors.push(fieldError.invalid('metadata.name', meta.name, wrong));
	} else if (!meta.generateName) {
		errors.push(fieldError.required('metadata.name', 'name or generateName is required'));
	}
	if (!kind.namespaced) {
		if (meta.namespace) errors.push(fieldError.forbidden('metadata.namespace', 'not allowed on this type'));
	} else if (!meta.namespace) {
		errors.push(fieldError.required('metadata.namespace'));
	} else {
		for (const wrong of dnsLabel(meta.namespace))
			errors.push(fieldError.invalid('metadata.namespace', meta.namespace, wrong));
	}
	if (meta.generation !== undefined && meta.generation < 0)
		errors.push(fieldError.invalid('metadata.generation', meta.generation, 'must be greater than or equal to 0'));
	validateLabels(meta.labels, 'metadata.labels', errors);
	validateAnnotations(meta.annotations, 'metadata.annotations', errors);
	validateOwners(meta.ownerReferences, errors);
	// Only the built-in groups ask for more than a qualified name: finalizers of custom resources may have any.
	validateFinalizers(meta, old?.metadata, !kind.custom, errors);
	if (old) validateUpdate(meta, old.metadata, errors);
	return errors;
}

/** Labels of metadata, of a template or of a selector. */
export function validateLabels(
	labels: Readonly<Record<string, string>> | undefined,
	path: string,
	errors: FieldError[],
): void {
	for (const [key, value] of Object.entries(labels ?? {})) {
		for (const wrong of qualifiedName(key)) errors.push(fieldError.invalid(path, key, wrong));
		for (const wrong of labelValue(value)) errors.push(fieldError.invalid(path, value, wrong));
	}
}

export function validateAnnotations(
	annotations: Readonly<Record<string, string>> | undefined,
	path: string,
	errors: FieldError[],
): void {
	let size = 0;
	for (const [key, value] of Object.entries(annotations ?? {})) {
		// Upper case is allowed in the domain of an annotation, unlike in that of a label.
		for (const wrong of qualifiedName(key.toLowerCase())) errors.push(fieldError.invalid(path, key, wrong));
		size += Buffer.byteLength(key) + Buffer.byteLength(value);
	}
	if (size > ANNOTATIONS_MAX) errors.push(fieldError.tooLong(path, ANNOTATIONS_MAX));
}

/**
 * Keeps what an update may leave out, as the API server does: uid, creationTimestamp, deletion marks. What it states
 * otherwise stays and is refused by validation.
 */
export function keepMetadata(meta: Meta, old: Meta): void {
	meta.uid ??= old.uid;
	meta.creationTimestamp ??= old.creationTimestamp;
	meta.deletionTimestamp ??= old.deletionTimestamp;
	meta.deletionGracePeriodSeconds ??= old.deletionGracePeriodSeconds;
	for (const key of ['uid', 'creationTimestamp', 'deletionTimestamp', 'deletionGracePeriodSeconds'] as const)
		if (meta[key] === undefined) delete meta[key];
}

function validateOwners(owners: readonly OwnerReference[] | undefined, errors: FieldError[]): void {
	let controller: OwnerReference | undefined;
	let second: OwnerReference | undefined;
	for (const [index, owner] of (owners ?? []).entries()) {
		const path = `metadata.ownerReferences[${index}]`;
		if (!owner.apiVersion)
			errors.push(fieldError.invalid(`${path}.apiVersion`, owner.apiVersion ?? '', 'version must not be empty'));
		for (const field of ['kind', 'name', 'uid'] as const)
			if (!owner[field]) errors.push(fieldError.invalid(`${path}.${field}`, owner[field] ?? '', 'must not be empty'));
		if (owner.kind === 'Event' && (owner.apiVersion === 'v1' || owner.apiVersion === 'events.k8s.io/v1'))
			errors.push(fieldError.invalid(path, owner, `${owner.apiVersion}, Kind=Event is disallowed from being an owner`));
		if (!owner.controller) continue;
		if (!controller) controller = owner;
		else second ??= owner;
	}
	// Said once: it repeats the whole list.
	if (controller && second)
		errors.push(
			fieldError.invalid(
				'metadata.ownerReferences',
				owners,
				`Only one reference can have Controller set to true. Found "true" in references for ${controller.kind}/${controller.name} and ${second.kind}/${second.name}`,
			),
		);
}

function validateFinalizers(meta: Partial<Meta>, old: Meta | undefined, builtin: boolean, errors: FieldError[]): void {
	for (const finalizer of meta.finalizers ?? []) {
		for (const wrong of qualifiedName(finalizer))
			errors.push(fieldError.invalid('metadata.finalizers', finalizer, wrong));
		if (builtin && !finalizer.includes('/') && !standardFinalizers.has(finalizer))
			errors.push(
				fieldError.invalid(
					'metadata.finalizers',
					finalizer,
					'name is neither a standard finalizer name nor is it fully qualified',
				),
			);
	}
	if (!old?.deletionTimestamp) return;
	const before = new Set(old.finalizers);
	const added = (meta.finalizers ?? []).filter((finalizer) => !before.has(finalizer));
	if (added.length > 0)
		errors.push(
			fieldError.forbidden(
				'metadata.finalizers',
				`no new finalizers can be added if the object is being deleted, found new finalizers ${JSON.stringify(added)}`,
			),
		);
}

/** Finalizers of custom resources may have any name, but two controllers may then choose the same. New ones are told. */
export function finalizerWarnings(meta: Meta, old: Meta | undefined): string[] {
	const before = new Set(old?.finalizers);
	return (meta.finalizers ?? [])
		.filter((name) => !name.includes('/') && !standardFinalizers.has(name) && !before.has(name))
		.map(
			(name) =>
				`metadata.finalizers: ${JSON.stringify(name)}: prefer a domain-qualified finalizer name including a path (/) to avoid accidental conflicts with other finalizer writers`,
		);
}

const immutable = [
	'name',
	'namespace',
	'uid',
	'creationTimestamp',
	'deletionTimestamp',
	'deletionGracePeriodSeconds',
] as const;

function validateUpdate(meta: Partial<Meta>, old: Meta, errors: FieldError[]): void {
	for (const field of immutable)
		if (!deepEqual(meta[field], old[field]))
			errors.push(fieldError.invalid(`metadata.${field}`, meta[field] ?? null, 'field is immutable'));
	if ((meta.generation ?? 0) < (old.generation ?? 0))
		errors.push(fieldError.invalid('metadata.generation', meta.generation ?? 0, 'must not be decremented'));
}
