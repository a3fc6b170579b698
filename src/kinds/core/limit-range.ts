import type * as core from 'kubernetes-types/core/v1.js';
import { kind } from '../declare.ts';
import type { Column, Kind } from '../kind.ts';
import { atomic } from '../merges.ts';
import type { Persisted } from '../object.ts';
import type { FieldError } from '../status.ts';
import { validateLimits } from './limit-range-validation.ts';

export type LimitRange = Persisted<core.LimitRange>;

/** kubectl has no columns of its own for the kind, and shows what it shows for any. */
const created: Column = {
	name: 'Created At',
	type: 'date',
	description: 'When the object was created.',
	priority: 0,
	cell: ({ metadata }) => metadata.creationTimestamp ?? null,
};

/** Source: Kubernetes API reference, "LimitRange". */
export const LimitRange: Kind<LimitRange> = kind<LimitRange>({
	group: '',
	version: 'v1',
	kind: 'LimitRange',
	plural: 'limitranges',
	schema: 'io.k8s.api.core.v1.LimitRange',
	merges: { 'io.k8s.api.core.v1.LimitRangeSpec': { limits: atomic } },
	shortNames: ['limits'],
	columns: [created],
	// What a container may have at most is what it gets, and what it is given it asks for.
	defaults({ spec }) {
		for (const limit of spec?.limits ?? []) {
			if (limit.type !== 'Container') continue;
			limit.default = { ...limit.max, ...limit.default };
			limit.defaultRequest = { ...limit.min, ...limit.default, ...limit.defaultRequest };
		}
	},
	validate({ spec }) {
		const errors: FieldError[] = [];
		validateLimits(spec?.limits ?? [], 'spec.limits', errors);
		return errors;
	},
});
