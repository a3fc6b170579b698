import type * as storage from 'kubernetes-types/storage/v1.js';
import { checkOneOf } from '../checks.ts';
import { validateTopology } from '../core/scheduling-validation.ts';
import { age, column, kind } from '../declare.ts';
import { deepEqual } from '../equal.ts';
import type { Kind } from '../kind.ts';
import { atomic } from '../merges.ts';
import { qualifiedName } from '../names.ts';
import type { Persisted } from '../object.ts';
import { type FieldError, fieldError } from '../status.ts';

export type StorageClass = Persisted<storage.StorageClass>;

/** Says that a class is that of claims that name none. */
export const DEFAULT_CLASS = 'storageclass.kubernetes.io/is-default-class';
const OLD_DEFAULT_CLASS = 'storageclass.beta.kubernetes.io/is-default-class';

export const isDefaultClass = ({ metadata: { annotations = {} } }: StorageClass): boolean =>
	annotations[DEFAULT_CLASS] === 'true' || annotations[OLD_DEFAULT_CLASS] === 'true';

/** The class of claims that name none: of several default ones the newest, of equally new ones the first by name. */
export function defaultClassOf(classes: Iterable<StorageClass>): StorageClass | undefined {
	let best: StorageClass | undefined;
	for (const each of classes) {
		if (!isDefaultClass(each) || each.metadata.deletionTimestamp) continue;
		const [made = '', before = ''] = [each.metadata.creationTimestamp, best?.metadata.creationTimestamp];
		if (!best || made > before || (made === before && each.metadata.name < best.metadata.name)) best = each;
	}
	return best;
}

/** All keys and values of the parameters together, in bytes. */
const MAX_PARAMETERS_BYTES = 256 * 1024;
const MAX_PARAMETERS = 512;

/** Source: Kubernetes API reference, "StorageClass". */
export const StorageClass: Kind<StorageClass> = kind<StorageClass>({
	group: 'storage.k8s.io',
	version: 'v1',
	kind: 'StorageClass',
	plural: 'storageclasses',
	schema: 'io.k8s.api.storage.v1.StorageClass',
	merges: {
		'io.k8s.api.storage.v1.StorageClass': { allowedTopologies: atomic, mountOptions: atomic },
		'io.k8s.api.core.v1.TopologySelectorTerm': {
			'.': { 'x-kubernetes-map-type': 'atomic' },
			matchLabelExpressions: atomic,
		},
		'io.k8s.api.core.v1.TopologySelectorLabelRequirement': { values: atomic },
	},
	shortNames: ['sc'],
	namespaced: false,
	returnsDeleted: true,
	columns: [
		column('Name', 'string', 'Its name, and whether it is the default.', (storageClass) => {
			return storageClass.metadata.name + (isDefaultClass(storageClass) ? ' (default)' : '');
		}),
		column('Provisioner', 'string', 'Who makes its volumes.', ({ provisioner }) => provisioner),
		column('ReclaimPolicy', 'string', 'What becomes of its volumes when their claims are gone.', (storageClass) => {
			return storageClass.reclaimPolicy ?? 'Delete';
		}),
		column('VolumeBindingMode', 'string', 'When its volumes are made.', (storageClass) => {
			return storageClass.volumeBindingMode ?? 'Immediate';
		}),
		column('AllowVolumeExpansion', 'string', 'Whether its volumes may be made larger.', (storageClass) => {
			return storageClass.allowVolumeExpansion ?? false;
		}),
		age,
	],
	defaults(storageClass) {
		storageClass.reclaimPolicy ??= 'Delete';
		storageClass.volumeBindingMode ??= 'Immediate';
	},
	validate(storageClass, old) {
		const errors: FieldError[] = [];
		const { provisioner, parameters, reclaimPolicy, volumeBindingMode, allowedTopologies } = storageClass;
		if (!provisioner) errors.push(fieldError.required('provisioner', ''));
		else
			for (const wrong of qualifiedName(provisioner.toLowerCase()))
				errors.push(fieldError.invalid('provisioner', provisioner, wrong));
		validateParameters(parameters, errors);
		checkOneOf(reclaimPolicy, 'reclaimPolicy', ['Delete', 'Retain'], errors);
		if (!volumeBindingMode) errors.push(fieldError.required('volumeBindingMode'));
		checkOneOf(volumeBindingMode, 'volumeBindingMode', ['Immediate', 'WaitForFirstConsumer'], errors);
		for (const [index, term] of (allowedTopologies ?? []).entries())
			validateTopology(term, `allowedTopologies[${index}]`, errors);
		if (old) validateUpdate(storageClass, old, errors);
		return errors;
	},
});

function validateParameters(parameters: StorageClass['parameters'], errors: FieldError[]): void {
	const entries = Object.entries(parameters ?? {});
	if (entries.length > MAX_PARAMETERS) errors.push(fieldError.tooLong('provisioner.parameters', MAX_PARAMETERS));
	let size = 0;
	for (const [key, value] of entries) {
		if (!key) errors.push(fieldError.invalid('parameters', key, 'field can not be empty.'));
		size += Buffer.byteLength(key) + Buffer.byteLength(value);
	}
	if (size > MAX_PARAMETERS_BYTES) errors.push(fieldError.tooLong('parameters', MAX_PARAMETERS_BYTES));
}

function validateUpdate(storageClass: StorageClass, old: StorageClass, errors: FieldError[]): void {
	for (const field of ['parameters', 'provisioner', 'reclaimPolicy'] as const)
		if (!deepEqual(storageClass[field], old[field]))
			errors.push(fieldError.forbidden(field, `updates to ${field} are forbidden.`));
	const { volumeBindingMode } = storageClass;
	if (volumeBindingMode !== old.volumeBindingMode)
		errors.push(fieldError.invalid('volumeBindingMode', volumeBindingMode ?? null, 'field is immutable'));
}
