/** The rules of security contexts. Source: Kubernetes API reference, "SecurityContext", and the API server's messages. */
import type * as core from 'kubernetes-types/core/v1.js';
import { checkId, checkOneOf, checkUnique } from '../checks.ts';
import { type FieldError, fieldError } from '../status.ts';

const SYSCTL_NAME_MAX = 253;
const SYSCTL_PART = '[a-z0-9]([-_a-z0-9]*[a-z0-9])?';
const SYSCTL_NAME = `^(${SYSCTL_PART}[\\./])*${SYSCTL_PART}$`;
/** Settings of a namespace that a pod may have in common with its machine. Source: Kubernetes documentation, "Using sysctls". */
const networkSysctl = /^net\./;
const ipcSysctl = /^(kernel\.sem$|kernel\.shm|kernel\.msg|fs\.mqueue\.)/;

export function validateContainerSecurity(
	context: core.SecurityContext | undefined,
	path: string,
	errors: FieldError[],
): void {
	if (!context) return;
	checkId(context.runAsUser, `${path}.runAsUser`, errors);
	checkId(context.runAsGroup, `${path}.runAsGroup`, errors);
	checkOneOf(context.procMount, `${path}.procMount`, ['Default', 'Unmasked'], errors);
	validateProfiles(context, path, errors);
	if (context.allowPrivilegeEscalation === false) {
		if (context.privileged)
			errors.push(
				fieldError.invalid(path, context, 'cannot set `allowPrivilegeEscalation` to false and `privileged` to true'),
			);
		if (context.capabilities?.add?.some((capability) => capability === 'CAP_SYS_ADMIN' || capability === 'SYS_ADMIN'))
			errors.push(
				fieldError.invalid(
					path,
					context,
					'cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN',
				),
			);
	}
}

export function validatePodSecurity(spec: core.PodSpec, path: string, errors: FieldError[]): void {
	if (spec.shareProcessNamespace && spec.hostPID)
		errors.push(
			fieldError.invalid(
				`${path}.shareProcessNamespace`,
				true,
				'ShareProcessNamespace and HostPID cannot both be enabled',
			),
		);
	const context = spec.securityContext;
	if (!context) return;
	const at = `${path}.securityContext`;
	checkId(context.runAsUser, `${at}.runAsUser`, errors);
	checkId(context.runAsGroup, `${at}.runAsGroup`, errors);
	checkId(context.fsGroup, `${at}.fsGroup`, errors);
	checkOneOf(context.fsGroupChangePolicy, `${at}.fsGroupChangePolicy`, ['Always', 'OnRootMismatch'], errors);
	for (const [index, group] of (context.supplementalGroups ?? []).entries())
		checkId(group, `${at}.supplementalGroups[${index}]`, errors);
	validateProfiles(context, at, errors);
	validateSysctls(spec, `${at}.sysctls`, errors);
}

/** seccomp and AppArmor: a profile of the machine is named, any other is not. */
function validateProfiles(
	context: Pick<core.SecurityContext, 'seccompProfile' | 'appArmorProfile'>,
	path: string,
	errors: FieldError[],
): void {
	for (const field of ['seccompProfile', 'appArmorProfile'] as const) {
		const profile = context[field];
		if (!profile) continue;
		const at = `${path}.${field}`;
		const what = field === 'seccompProfile' ? 'seccomp type' : 'AppArmor type';
		if (!profile.type) errors.push(fieldError.required(`${at}.type`));
		checkOneOf(profile.type, `${at}.type`, ['Localhost', 'RuntimeDefault', 'Unconfined'], errors);
		const { localhostProfile } = profile;
		if (profile.type !== 'Localhost') {
			if (localhostProfile !== undefined)
				errors.push(
					fieldError.invalid(`${at}.localhostProfile`, localhostProfile, `can only be set when ${what} is Localhost`),
				);
		} else if (!localhostProfile)
			errors.push(fieldError.required(`${at}.localhostProfile`, `must be set when ${what} is Localhost`));
		else if (localhostProfile.startsWith('/') || localhostProfile.split('/').includes('..'))
			errors.push(fieldError.invalid(`${at}.localhostProfile`, localhostProfile, 'must be a descending path'));
	}
}

function validateSysctls(spec: core.PodSpec, path: string, errors: FieldError[]): void {
	const names = new Set<string>();
	for (const [index, { name = '' }] of (spec.securityContext?.sysctls ?? []).entries()) {
		const field = `${path}[${index}].name`;
		if (!name) errors.push(fieldError.required(field));
		else if (name.length > SYSCTL_NAME_MAX || !new RegExp(SYSCTL_NAME).test(name))
			errors.push(
				fieldError.invalid(
					field,
					name,
					`must have at most ${SYSCTL_NAME_MAX} characters and match regex ${SYSCTL_NAME}`,
				),
			);
		checkUnique(name, field, names, errors);
		const dotted = name.replaceAll('/', '.');
		if (spec.hostNetwork && networkSysctl.test(dotted))
			errors.push(fieldError.invalid(field, name, "may not be specified when 'hostNetwork' is true"));
		if (spec.hostIPC && ipcSysctl.test(dotted))
			errors.push(fieldError.invalid(field, name, "may not be specified when 'hostIPC' is true"));
	}
}
