import type * as scheduling from 'kubernetes-types/scheduling/v1.js';
import { checkOneOf } from '../checks.ts';
import { age, column, kind } from '../declare.ts';
import type { Kind } from '../kind.ts';
import type { Persisted } from '../object.ts';
import { type FieldError, fieldError } from '../status.ts';

export type PriorityClass = Persisted<scheduling.PriorityClass>;

/** The greatest value of a class that is not the system's. */
export const HIGHEST_PRIORITY = 1_000_000_000;
const SYSTEM_PREFIX = 'system-';

/**
 * The classes that every cluster has.
 * Source: Kubernetes documentation, "Guaranteed Scheduling For Critical Add-On Pods".
 */
export const SYSTEM_PRIORITY_CLASSES = [
	{
		name: 'system-node-critical',
		value: 2_000_001_000,
		description: 'Used for system critical pods that must not be moved from their current node.',
	},
	{
		name: 'system-cluster-critical',
		value: 2_000_000_000,
		description:
			'Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.',
	},
] as const;

/** Source: Kubernetes API reference, "PriorityClass". */
export const PriorityClass: Kind<PriorityClass> = kind<PriorityClass>({
	group: 'scheduling.k8s.io',
	version: 'v1',
	kind: 'PriorityClass',
	plural: 'priorityclasses',
	schema: 'io.k8s.api.scheduling.v1.PriorityClass',
	shortNames: ['pc'],
	namespaced: false,
	generation: true,
	columns: [
		column('Value', 'integer', 'How urgent its pods are.', ({ value }) => value ?? 0),
		column('Global-Default', 'boolean', 'Whether pods without a class have it.', ({ globalDefault }) => {
			return globalDefault ?? false;
		}),
		age,
		column('PreemptionPolicy', 'string', 'Whether its pods may take the place of others.', ({ preemptionPolicy }) => {
			return preemptionPolicy ?? '';
		}),
	],
	defaults(priorityClass) {
		priorityClass.preemptionPolicy ||= 'PreemptLowerPriority';
	},
	validate(priorityClass, old) {
		const errors: FieldError[] = [];
		const { metadata, value, preemptionPolicy } = priorityClass;
		if (metadata.name?.startsWith(SYSTEM_PREFIX)) validateSystem(priorityClass, errors);
		else if (value > HIGHEST_PRIORITY)
			errors.push(
				fieldError.forbidden('value', `maximum allowed value of a user defined priority is ${HIGHEST_PRIORITY}`),
			);
		checkOneOf(preemptionPolicy, 'preemptionPolicy', ['Never', 'PreemptLowerPriority'], errors);
		if (old && old.value !== value) errors.push(fieldError.forbidden('value', 'may not be changed in an update.'));
		if (old && old.preemptionPolicy !== preemptionPolicy)
			errors.push(fieldError.invalid('preemptionPolicy', preemptionPolicy, 'field is immutable'));
		return errors;
	},
});

/** Names with the prefix are the system's, and its classes are as they are. */
function validateSystem({ metadata: { name }, value, globalDefault }: PriorityClass, errors: FieldError[]): void {
	const known = SYSTEM_PRIORITY_CLASSES.find((each) => each.name === name);
	const why = !known
		? `${name} is not a known system priority class`
		: known.value !== value
			? `value of ${name} PriorityClass must be ${known.value}`
			: globalDefault
				? `globalDefault of ${name} PriorityClass must be false`
				: undefined;
	if (why)
		errors.push(
			fieldError.forbidden(
				'metadata.name',
				`priority class names with '${SYSTEM_PREFIX}' prefix are reserved for system use only. error: ${why}`,
			),
		);
}
