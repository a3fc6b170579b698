/** What is accepted of a pod, or of a template of pods, but is hardly meant so, in the words of Kubernetes. */
import type * as core from 'kubernetes-types/core/v1.js';
import type * as meta from 'kubernetes-types/meta/v1.js';
import { dnsLabel } from '../names.ts';
import { quantity } from '../quantity.ts';

/** Labels of nodes that have newer names, each with what is said of it. */
const oldLabels: Readonly<Record<string, string>> = {
	'beta.kubernetes.io/arch': 'deprecated since v1.14; use "kubernetes.io/arch" instead',
	'beta.kubernetes.io/os': 'deprecated since v1.14; use "kubernetes.io/os" instead',
	'beta.kubernetes.io/instance-type': 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
	'failure-domain.beta.kubernetes.io/region': 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
	'failure-domain.beta.kubernetes.io/zone': 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
};

interface PodLike {
	readonly metadata?: Pick<meta.ObjectMeta, 'name' | 'annotations'>;
	readonly spec?: core.PodSpec;
}

/** `path` leads to the pod: empty for a pod itself, `spec.template.` for a template. */
export function podWarnings({ metadata, spec }: PodLike, path = ''): string[] {
	const warnings: string[] = [];
	// A template has no name of its own.
	if (!path && metadata?.name && dnsLabel(metadata.name).length > 0)
		warnings.push(
			`metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [${dnsLabel(metadata.name).join(', ')}]`,
		);
	for (const key of Object.keys(metadata?.annotations ?? {})) {
		const at = `${path}metadata.annotations[${key}]`;
		if (/^(container\.)?seccomp\.security\.alpha\.kubernetes\.io\//.test(key))
			warnings.push(`${at}: non-functional in v1.27+; use the "seccompProfile" field instead`);
		if (key.startsWith('container.apparmor.security.beta.kubernetes.io/'))
			warnings.push(`${at}: deprecated since v1.30; use the "appArmorProfile" field instead`);
	}
	if (!spec) return warnings;
	const at = `${path}spec`;
	for (const label of Object.keys(spec.nodeSelector ?? {}))
		if (Object.hasOwn(oldLabels, label)) warnings.push(`${at}.nodeSelector[${label}]: ${oldLabels[label]}`);
	if ((spec.terminationGracePeriodSeconds ?? 0) < 0)
		warnings.push(
			`${at}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1`,
		);
	for (const [index, { name }] of (spec.imagePullSecrets ?? []).entries())
		if (!name) warnings.push(`${at}.imagePullSecrets[${index}].name: invalid empty name ""`);
	for (const field of ['initContainers', 'containers'] as const)
		for (const [index, container] of (spec[field] ?? []).entries())
			containerWarnings(container, `${at}.${field}[${index}]`, warnings);
	return warnings;
}

function containerWarnings({ env, ports, resources }: core.Container, at: string, warnings: string[]): void {
	const names = new Set<string>();
	for (const [index, { name }] of (env ?? []).entries()) {
		if (names.has(name))
			warnings.push(
				`${at}.env[${index}]: hides previous definition of ${JSON.stringify(name)}, which may be dropped when using apply`,
			);
		names.add(name);
	}
	const first = new Map<string, number>();
	for (const [index, port] of (ports ?? []).entries()) {
		const same = `${port.containerPort}/${port.protocol}/${port.hostIP ?? ''}/${port.hostPort ?? 0}`;
		const earlier = first.get(same);
		if (earlier === undefined) first.set(same, index);
		else warnings.push(`${at}.ports[${index}]: duplicate port definition with ${at}.ports[${earlier}]`);
	}
	for (const field of ['limits', 'requests'] as const)
		for (const [name, value] of Object.entries(resources?.[field] ?? {}))
			if ((name === 'memory' || name === 'ephemeral-storage') && !Number.isInteger(quantity(value)))
				warnings.push(
					`${at}.resources.${field}[${name}]: fractional byte value ${JSON.stringify(value)} is invalid, must be an integer`,
				);
}
