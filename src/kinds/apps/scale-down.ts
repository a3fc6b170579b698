/**
 * Which pods go first where there are too many: a field that driftless adds to Deployments and ReplicaSets, and an annotation that says the
 * same where a manifest must stay valid elsewhere.
 */
import { checkOneOf } from '../checks.ts';
import type { KubeObject } from '../object.ts';
import type { Schema } from '../schema.ts';
import type { FieldError } from '../status.ts';

export const SCALE_DOWN = 'driftless.io/scale-down';

const orders = ['newer', 'older'] as const;
export type ScaleDown = (typeof orders)[number];

/** What the specs of the kinds have beside Kubernetes' own fields. */
export interface WithScaleDown {
	/** Which pods go first when there are too many. */
	update?: ScaleDown;
}

export const scaleDownField: Readonly<Record<keyof WithScaleDown, Schema>> = {
	update: {
		type: 'string',
		description: `Which pods go first when there are too many: 'newer' or 'older' ones. Pods that do not run or are not ready go before them all the same. Not a field of Kubernetes: the annotation ${SCALE_DOWN} says the same.`,
	},
};

type Scaled = KubeObject & { readonly spec?: object };

/** What the object says; the field before the annotation. */
export function scaleDownOf({ metadata, spec }: Scaled): ScaleDown | undefined {
	const { update = metadata.annotations?.[SCALE_DOWN] } = (spec ?? {}) as { readonly update?: string };
	return orders.find((order) => order === update);
}

export function validateScaleDown({ metadata, spec }: Scaled, errors: FieldError[]): void {
	checkOneOf((spec as { readonly update?: string } | undefined)?.update, 'spec.update', orders, errors);
	checkOneOf(metadata.annotations?.[SCALE_DOWN], `metadata.annotations[${SCALE_DOWN}]`, orders, errors);
}
