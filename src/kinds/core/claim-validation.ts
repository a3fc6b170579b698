/** The rules of the spec of a claim, which templates of claims share. Source: Kubernetes API reference, "PersistentVolumeClaim", and the API server's messages. */
import type * as core from 'kubernetes-types/core/v1.js';
import { checkLabelSelector, checkName, checkOneOf, checkQuantities } from '../checks.ts';
import { deepEqual } from '../equal.ts';
import { dnsSubdomain } from '../names.ts';
import { compareQuantities, isQuantity } from '../quantity.ts';
import { type FieldError, fieldError } from '../status.ts';
import { checkAccessModes, checkPositive, OLD_CLASS, volumeModes } from './volume-modes.ts';

type Spec = core.PersistentVolumeClaimSpec;

/** The defaults of a claim's spec, or of a template's. */
export function defaultClaimSpec(spec: Spec): void {
	spec.volumeMode ??= 'Filesystem';
	const { dataSource, dataSourceRef } = spec;
	// Each is a form of the other, for what both can name.
	if (dataSource && !dataSourceRef) spec.dataSourceRef = { ...dataSource };
	if (!dataSource && dataSourceRef && !dataSourceRef.namespace && isCopyable(dataSourceRef)) {
		const { apiGroup, kind, name } = dataSourceRef;
		spec.dataSource = { ...(apiGroup && { apiGroup }), kind, name };
	}
}

const isCopyable = ({ apiGroup = '', kind }: { apiGroup?: string; kind: string }) =>
	(apiGroup === '' && kind === 'PersistentVolumeClaim') ||
	(apiGroup === 'snapshot.storage.k8s.io' && kind === 'VolumeSnapshot');

/** Checks the spec of a claim, or of a template of claims. */
export function validateClaimSpec(spec: Spec | undefined, path: string, errors: FieldError[]): void {
	const { accessModes, selector, resources, storageClassName, volumeMode, dataSource, dataSourceRef } = spec ?? {};
	checkAccessModes(accessModes, `${path}.accessModes`, 'at least 1 access mode is required', errors);
	if (selector) checkLabelSelector(selector, `${path}.selector`, errors);
	const storage = resources?.requests?.storage;
	if (storage === undefined) errors.push(fieldError.required(`${path}.resources[storage]`));
	else checkPositive(storage, `${path}.resources[storage]`, errors);
	checkQuantities(resources?.requests, `${path}.resources.requests`, errors);
	checkQuantities(resources?.limits, `${path}.resources.limits`, errors);
	checkName(storageClassName, `${path}.storageClassName`, dnsSubdomain, errors);
	checkOneOf(volumeMode, `${path}.volumeMode`, volumeModes, errors);
	if (dataSource) validateSource(dataSource, `${path}.dataSource`, errors);
	if (dataSourceRef) validateSource(dataSourceRef, `${path}.dataSourceRef`, errors);
	if (dataSourceRef?.namespace)
		errors.push(
			fieldError.forbidden(`${path}.dataSourceRef.namespace`, 'sources in other namespaces are not supported'),
		);
	else if (dataSource && dataSourceRef && !deepEqual(dataSource, dataSourceRef))
		errors.push(fieldError.invalid(path, dataSource, 'must match dataSourceRef'));
}

function validateSource(source: core.TypedObjectReference, path: string, errors: FieldError[]): void {
	if (!source.name) errors.push(fieldError.required(`${path}.name`));
	if (!source.kind) errors.push(fieldError.required(`${path}.kind`));
	if (!source.apiGroup && source.kind && source.kind !== 'PersistentVolumeClaim')
		errors.push(
			fieldError.invalid(path, source.kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup"),
		);
	checkName(source.apiGroup, `${path}.apiGroup`, dnsSubdomain, errors);
}

interface Claim {
	readonly metadata: { readonly annotations?: Readonly<Record<string, string>> };
	readonly spec?: Spec;
	readonly status?: core.PersistentVolumeClaimStatus;
}

/**
 * What of a stored claim may change: the volume where it has none, the class where it has none yet, and the size of a bound one, never
 * below what it has.
 */
export function validateClaimUpdate(claim: Claim, old: Claim, errors: FieldError[]): void {
	const before = old.spec ?? {};
	const kept: Spec = { ...claim.spec };
	if (!before.volumeName) delete kept.volumeName;
	const mayBeNamed = before.storageClassName === undefined && old.metadata.annotations?.[OLD_CLASS] === undefined;
	if (mayBeNamed) delete kept.storageClassName;
	const size = claim.spec?.resources?.requests?.storage;
	const sizeBefore = before.resources?.requests?.storage;
	if (old.status?.phase === 'Bound' && kept.resources?.requests && sizeBefore !== undefined)
		kept.resources = { ...kept.resources, requests: { ...kept.resources.requests, storage: sizeBefore } };
	if (!deepEqual(kept, { ...before, ...(!before.volumeName && { volumeName: undefined }) }))
		errors.push(
			fieldError.forbidden(
				'spec',
				'spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims',
			),
		);
	const capacity = old.status?.capacity?.storage;
	if (!isQuantity(size) || !isQuantity(sizeBefore) || compareQuantities(size, sizeBefore) >= 0) return;
	// It may be made smaller only as long as that takes nothing away: to take back what could not be had.
	if (!isQuantity(capacity) || compareQuantities(size, capacity) <= 0)
		errors.push(fieldError.forbidden('spec.resources.requests.storage', 'field can not be less than status.capacity'));
}
