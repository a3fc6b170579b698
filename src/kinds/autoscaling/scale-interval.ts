/**
 * How often an autoscaler looks: a field that driftless adds, and an annotation that says the same where a manifest must stay valid
 * elsewhere.
 */
import type { KubeObject } from '../object.ts';
import type { Schema } from '../schema.ts';
import { type FieldError, fieldError } from '../status.ts';

export const SCALE_INTERVAL = 'driftless.io/scale-interval';
/** The default and the least, as Kubernetes' own (--horizontal-pod-autoscaler-sync-period), and the most, in seconds. */
const DEFAULT_S = 15;
const MOST_S = 3_600;

/** What the spec has beside Kubernetes' own fields. */
export interface WithScaleInterval {
	/** `30s`, `2m`. */
	scaleInterval?: string;
}

export const scaleIntervalField: Readonly<Record<keyof WithScaleInterval, Schema>> = {
	scaleInterval: {
		type: 'string',
		description: `How often it looks: a duration such as '30s' or '2m', of at least ${DEFAULT_S}s, which is the default. Not a field of Kubernetes: the annotation ${SCALE_INTERVAL} says the same.`,
	},
};

type Said = KubeObject & { readonly spec?: object };

const fieldOf = ({ spec }: Said) => (spec as WithScaleInterval | undefined)?.scaleInterval;
const annotationOf = ({ metadata }: Said) => metadata.annotations?.[SCALE_INTERVAL];

/** In milliseconds; the field before the annotation. */
export const scaleIntervalOf = (autoscaler: Said): number =>
	(secondsOf(fieldOf(autoscaler) ?? annotationOf(autoscaler)) ?? DEFAULT_S) * 1_000;

export function checkScaleInterval(autoscaler: Said): FieldError[] {
	const wanted = `must be a duration of at least ${DEFAULT_S}s and at most ${MOST_S / 60}m, such as 30s or 2m`;
	return [
		['spec.scaleInterval', fieldOf(autoscaler)] as const,
		[`metadata.annotations[${SCALE_INTERVAL}]`, annotationOf(autoscaler)] as const,
	].flatMap(([path, text]) =>
		text === undefined || secondsOf(text) !== undefined ? [] : [fieldError.invalid(path, text, wanted)],
	);
}

/** Undefined where there is none, or one that is not taken. */
function secondsOf(text = ''): number | undefined {
	const [, minutes, seconds] = /^(?:(\d{1,3})m)?(?:(\d{1,5})s)?$/.exec(text) ?? [];
	if (minutes === undefined && seconds === undefined) return undefined;
	const total = Number(minutes ?? 0) * 60 + Number(seconds ?? 0);
	return total >= DEFAULT_S && total <= MOST_S ? total : undefined;
}
