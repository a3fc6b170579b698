/** The pods of a Job, as they are made. Source: Kubernetes documentation, "Jobs", "Completion mode" and "Indexed Job for Parallel Processing". */
import type { Container } from 'kubernetes-types/core/v1.js';
import { Job, type Pod } from '../../kinds/index.ts';
import { controllerReference } from '../runtime/claim.ts';
import { failureOf } from './job-failure-policy.ts';
import type { Slot } from './job-plan.ts';
import {
	COMPLETION_INDEX,
	hasIndexLimit,
	INDEX_FAILURES,
	INDEX_IGNORED,
	ignoredFailures,
	indexFailures,
	TRACKING,
} from './job-pods.ts';

/** The index in the environment of each container. */
const INDEX_VARIABLE = 'JOB_COMPLETION_INDEX';
/** As the API has it for generated names: a label, less the five characters. */
const LONGEST_BASE = 58;
const SUFFIX = 5;
const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';

/**
 * The pods of the slots. Each has the first name of its place that is not taken, and the names of a place follow from the Job's
 * uid: where an answer was lost, the second attempt makes the pod that is there already, and not another one.
 */
export function podsOf(job: Job, slots: readonly Slot[], isTaken: (name: string) => boolean): readonly Pod[] {
	const given = new Set<string>();
	return slots.map((slot) => {
		const base = baseOf(job, slot);
		for (let attempt = 0; ; attempt++) {
			const name = base + suffixOf(`${job.metadata.uid}/${slot.index ?? ''}/${attempt}`);
			if (given.has(name) || isTaken(name)) continue;
			given.add(name);
			return podOf(job, slot, name);
		}
	});
}

function baseOf({ metadata }: Job, { index }: Slot): string {
	if (index === undefined) return `${metadata.name}-`.slice(0, LONGEST_BASE);
	const end = `-${index}-`;
	return metadata.name.slice(0, LONGEST_BASE - end.length) + end;
}

/** Five characters as the API draws them by chance, but of a text: FNV-1a, which is enough to spread names. */
function suffixOf(text: string): string {
	let hash = 0x811c9dc5;
	for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
	// The last bits of texts that differ at their end alone are mixed into all others.
	let rest = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) >>> 0;
	rest = (rest ^ (rest >>> 13)) >>> 0;
	let suffix = '';
	for (let i = 0; i < SUFFIX; i++) {
		suffix += ALPHABET[rest % ALPHABET.length];
		rest = Math.floor(rest / ALPHABET.length);
	}
	return suffix;
}

function podOf(job: Job, slot: Slot, name: string): Pod {
	const { metadata, spec = { containers: [] } } = job.spec.template;
	const { index } = slot;
	const own = index === undefined ? undefined : { [COMPLETION_INDEX]: String(index) };
	const failures = own && hasIndexLimit(job) ? failuresOf(job, slot.replaces) : undefined;
	const annotations = { ...metadata?.annotations, ...own, ...failures };
	const finalizers = metadata?.finalizers ?? [];
	return {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: {
			name,
			generateName: baseOf(job, slot),
			namespace: job.metadata.namespace,
			labels: { ...metadata?.labels, ...own },
			...(Object.keys(annotations).length > 0 && { annotations }),
			finalizers: finalizers.includes(TRACKING) ? finalizers : [...finalizers, TRACKING],
			ownerReferences: [controllerReference(Job, job)],
		},
		spec: index === undefined ? spec : indexed(spec, `${job.metadata.name}-${index}`),
	};
}

/** The count of failures of the index goes on with each pod that takes the place of another. */
function failuresOf(job: Job, replaced: Pod | undefined): Record<string, string> {
	if (!replaced) return { [INDEX_FAILURES]: '0' };
	const counts = failureOf(replaced, job).counts;
	const ignored = ignoredFailures(replaced) + (counts ? 0 : 1);
	return {
		[INDEX_FAILURES]: String(indexFailures(replaced) + (counts ? 1 : 0)),
		...(ignored > 0 && { [INDEX_IGNORED]: String(ignored) }),
	};
}

function indexed(spec: NonNullable<Pod['spec']>, hostname: string): Pod['spec'] {
	const withIndex = (container: Container): Container =>
		container.env?.some(({ name }) => name === INDEX_VARIABLE)
			? container
			: {
					...container,
					env: [
						...(container.env ?? []),
						{
							name: INDEX_VARIABLE,
							valueFrom: { fieldRef: { fieldPath: `metadata.labels['${COMPLETION_INDEX}']` } },
						},
					],
				};
	return {
		...spec,
		hostname,
		containers: spec.containers.map(withIndex),
		...(spec.initContainers && { initContainers: spec.initContainers.map(withIndex) }),
	};
}
