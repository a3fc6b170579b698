/** The rules of volumes. Source: Kubernetes API reference, "Volume", and the API server's messages. */
import type * as core from 'kubernetes-types/core/v1.js';
import { checkListName, checkName, checkOneOf } from '../checks.ts';
import { configKey, dnsSubdomain } from '../names.ts';
import { compareQuantities, isQuantity } from '../quantity.ts';
import { type FieldError, fieldError } from '../status.ts';
import { validateClaimSpec } from './claim-validation.ts';
import { validateRelative, validateResourceField } from './container-validation.ts';

/** Octal 0777. */
const MAX_FILE_MODE = 511;
const hostPathTypes = [
	'',
	'BlockDevice',
	'CharDevice',
	'Directory',
	'DirectoryOrCreate',
	'File',
	'FileOrCreate',
	'Socket',
] as const;
const downwardFields = [
	'metadata.annotations',
	'metadata.labels',
	'metadata.name',
	'metadata.namespace',
	'metadata.uid',
];

/** Checks the volumes of a pod; returns their names. */
export function validateVolumes(
	volumes: readonly core.Volume[] | undefined,
	path: string,
	errors: FieldError[],
): Set<string> {
	const names = new Set<string>();
	for (const [index, volume] of (volumes ?? []).entries()) {
		const at = `${path}[${index}]`;
		checkListName(volume.name, `${at}.name`, names, errors);
		// The schema knows the volume types; whatever stands beside the name is one.
		const types = Object.entries(volume).filter(([field, value]) => field !== 'name' && value);
		if (types.length === 0) errors.push(fieldError.required(at, 'must specify a volume type'));
		for (const [type] of types.slice(1))
			errors.push(fieldError.forbidden(`${at}.${type}`, 'may not specify more than 1 volume type'));
		validateSource(volume, at, errors);
	}
	return names;
}

function validateSource(volume: core.Volume, at: string, errors: FieldError[]): void {
	const { hostPath, configMap, secret, emptyDir, persistentVolumeClaim, nfs, projected, downwardAPI, ephemeral } =
		volume;
	if (hostPath) validateHostPath(hostPath, `${at}.hostPath`, errors);
	if (configMap) {
		if (!configMap.name) errors.push(fieldError.required(`${at}.configMap.name`));
		validateFiles(configMap, `${at}.configMap`, errors);
	}
	if (secret) {
		if (!secret.secretName) errors.push(fieldError.required(`${at}.secret.secretName`));
		validateFiles(secret, `${at}.secret`, errors);
	}
	if (emptyDir?.sizeLimit && isQuantity(emptyDir.sizeLimit) && compareQuantities(emptyDir.sizeLimit, '0') < 0)
		errors.push(fieldError.forbidden(`${at}.emptyDir.sizeLimit`, 'SizeLimit field must be a valid resource quantity'));
	if (persistentVolumeClaim && !persistentVolumeClaim.claimName)
		errors.push(fieldError.required(`${at}.persistentVolumeClaim.claimName`));
	if (nfs) validateNfs(nfs, `${at}.nfs`, errors);
	if (ephemeral) {
		const template = `${at}.ephemeral.volumeClaimTemplate`;
		if (!ephemeral.volumeClaimTemplate) errors.push(fieldError.required(template));
		else validateClaimSpec(ephemeral.volumeClaimTemplate.spec, `${template}.spec`, errors);
	}
	if (downwardAPI) {
		validateMode(downwardAPI.defaultMode, `${at}.downwardAPI.defaultMode`, errors);
		validateDownwardFiles(downwardAPI.items, `${at}.downwardAPI.items`, errors);
	}
	if (projected) validateProjected(projected, `${at}.projected`, errors);
}

/** A path of a node, for pods and for volumes. */
export function validateHostPath(hostPath: core.HostPathVolumeSource, path: string, errors: FieldError[]): void {
	if (!hostPath.path) errors.push(fieldError.required(`${path}.path`));
	else if (hostPath.path.split('/').includes('..'))
		errors.push(fieldError.invalid(`${path}.path`, hostPath.path, "must not contain '..'"));
	checkOneOf(hostPath.type, `${path}.type`, hostPathTypes, errors);
}

export function validateNfs(nfs: core.NFSVolumeSource, path: string, errors: FieldError[]): void {
	if (!nfs.server) errors.push(fieldError.required(`${path}.server`));
	if (!nfs.path) errors.push(fieldError.required(`${path}.path`));
	else if (!nfs.path.startsWith('/'))
		errors.push(fieldError.invalid(`${path}.path`, nfs.path, 'must be an absolute path'));
}

function validateProjected(volume: core.ProjectedVolumeSource, path: string, errors: FieldError[]): void {
	validateMode(volume.defaultMode, `${path}.defaultMode`, errors);
	for (const [index, source] of (volume.sources ?? []).entries()) {
		const at = `${path}.sources[${index}]`;
		const types = Object.entries(source).filter(([, value]) => value);
		if (types.length === 0) errors.push(fieldError.required(at, 'must specify a projected volume source type'));
		for (const [type] of types.slice(1))
			errors.push(fieldError.forbidden(`${at}.${type}`, 'may not specify more than 1 volume type per source'));
		for (const type of ['configMap', 'secret'] as const) {
			const reference = source[type];
			if (!reference) continue;
			checkName(reference.name, `${at}.${type}.name`, dnsSubdomain, errors, 'required');
			validateFiles(reference, `${at}.${type}`, errors);
		}
		validateDownwardFiles(source.downwardAPI?.items, `${at}.downwardAPI.items`, errors);
		const token = source.serviceAccountToken;
		if (token && !token.path) errors.push(fieldError.required(`${at}.serviceAccountToken.path`));
		if (token?.expirationSeconds !== undefined && token.expirationSeconds < 600)
			errors.push(
				fieldError.invalid(
					`${at}.serviceAccountToken.expirationSeconds`,
					token.expirationSeconds,
					'may not specify a duration less than 10 minutes',
				),
			);
	}
}

function validateFiles(
	source: { readonly items?: readonly core.KeyToPath[]; readonly defaultMode?: number },
	path: string,
	errors: FieldError[],
): void {
	validateMode(source.defaultMode, `${path}.defaultMode`, errors);
	for (const [index, item] of (source.items ?? []).entries()) {
		const at = `${path}.items[${index}]`;
		checkName(item.key, `${at}.key`, configKey, errors, 'required');
		validateFilePath(item.path, `${at}.path`, errors);
		validateMode(item.mode, `${at}.mode`, errors);
	}
}

function validateDownwardFiles(
	items: readonly core.DownwardAPIVolumeFile[] | undefined,
	path: string,
	errors: FieldError[],
): void {
	for (const [index, item] of (items ?? []).entries()) {
		const at = `${path}[${index}]`;
		validateFilePath(item.path, `${at}.path`, errors);
		validateMode(item.mode, `${at}.mode`, errors);
		const field = item.fieldRef?.fieldPath;
		if (item.fieldRef) {
			if (item.resourceFieldRef)
				errors.push(
					fieldError.invalid(at, 'resource', 'fieldRef and resourceFieldRef can not be specified simultaneously'),
				);
			if (!field) errors.push(fieldError.required(`${at}.fieldRef.fieldPath`));
			else if (!downwardFields.includes(field) && !/^metadata\.(labels|annotations)\['[^']+'\]$/.test(field))
				errors.push(fieldError.notSupported(`${at}.fieldRef.fieldPath`, field, downwardFields));
		} else if (item.resourceFieldRef) {
			if (!item.resourceFieldRef.containerName)
				errors.push(fieldError.required(`${at}.resourceFieldRef.containerName`));
			validateResourceField(item.resourceFieldRef.resource, at, errors);
		} else errors.push(fieldError.required(at, 'one of fieldRef and resourceFieldRef is required'));
	}
}

function validateFilePath(path: string | undefined, field: string, errors: FieldError[]): void {
	if (!path) errors.push(fieldError.required(field));
	validateRelative(path, field, errors);
	if (path?.startsWith('..') && !path.startsWith('../') && path !== '..')
		errors.push(fieldError.invalid(field, path, "must not start with '..'"));
}

function validateMode(mode: number | undefined, field: string, errors: FieldError[]): void {
	if (mode !== undefined && (mode < 0 || mode > MAX_FILE_MODE))
		errors.push(fieldError.invalid(field, mode, 'must be a number between 0 and 0777 (octal), both inclusive'));
}
