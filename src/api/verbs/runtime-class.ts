/**
 * RuntimeClass: a pod that asks for another runtime than there is must not run; one whose class needs something beside its
 * containers asks for it, and goes where the class says. Source: Kubernetes documentation, "Runtime Class" and "Pod Overhead".
 */
import type { PodSpec, Toleration } from 'kubernetes-types/core/v1.js';
import { deepEqual } from '../../kinds/equal.ts';
import { RuntimeClass } from '../../kinds/node/runtime-class.ts';
import { forbidden } from '../../kinds/status.ts';
import type { AdmissionPlugin, AdmissionRequest } from './admission.ts';

export const runtimeClass: AdmissionPlugin = {
	name: 'RuntimeClass',
	handles: ({ operation, kind, subresource }) =>
		operation === 'CREATE' && subresource === undefined && kind.group === '' && kind.plural === 'pods',
	async mutate(request) {
		const spec = request.object?.spec as PodSpec | undefined;
		const found = spec && (await classOf(spec, request));
		const refuse = (why: string) => forbidden(request.kind, request.name, `pod rejected: ${why}`);
		const overhead = found?.overhead?.podFixed;
		if (spec?.overhead && !deepEqual(spec.overhead, overhead ?? {}))
			throw refuse(
				found
					? "Pod's Overhead doesn't match RuntimeClass's defined Overhead"
					: 'Pod Overhead set without corresponding RuntimeClass defined Overhead',
			);
		if (!spec || !found) return 'nothing';
		if (overhead) spec.overhead = { ...overhead };
		const { nodeSelector = {}, tolerations = [] } = found.scheduling ?? {};
		for (const [key, value] of Object.entries(nodeSelector))
			if (spec.nodeSelector?.[key] !== undefined && spec.nodeSelector[key] !== value)
				throw refuse(
					`conflict: runtimeClass.scheduling.nodeSelector[${key}] = ${value}; pod.spec.nodeSelector[${key}] = ${spec.nodeSelector[key]}`,
				);
		if (Object.keys(nodeSelector).length > 0) spec.nodeSelector = { ...spec.nodeSelector, ...nodeSelector };
		const more = tolerations.filter((each) => !spec.tolerations?.some((own) => sameToleration(own, each)));
		if (more.length > 0) spec.tolerations = [...(spec.tolerations ?? []), ...structuredClone(more)];
		return 'filled';
	},
};

/** The class that the pod names; undefined where it names none. Throws 403 where there is none of the name. */
async function classOf(
	{ runtimeClassName: name }: PodSpec,
	request: AdmissionRequest,
): Promise<RuntimeClass | undefined> {
	if (!name) return undefined;
	const found = await request.lookUp(RuntimeClass, { name });
	if (!found) throw forbidden(request.kind, request.name, `pod rejected: RuntimeClass "${name}" not found`);
	return found as RuntimeClass;
}

const sameToleration = (a: Toleration, b: Toleration) =>
	(['key', 'operator', 'value', 'effect', 'tolerationSeconds'] as const).every(
		(field) => (a[field] ?? '') === (b[field] ?? ''),
	);
