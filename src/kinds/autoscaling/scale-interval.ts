/** How often an autoscaler looks, as its annotation says it. */
import { type FieldError, fieldError } from '../status.ts';
import type { HorizontalPodAutoscaler } from './horizontal-pod-autoscaler.ts';

export const SCALE_INTERVAL = 'driftless.io/scale-interval';
/** The default and the least, as Kubernetes' own (--horizontal-pod-autoscaler-sync-period), and the most, in seconds. */
const DEFAULT_S = 15;
const MOST_S = 3_600;

type Annotated = Pick<HorizontalPodAutoscaler, 'metadata'>;

/** In milliseconds. */
export const scaleIntervalOf = (autoscaler: Annotated): number => (secondsOf(autoscaler) ?? DEFAULT_S) * 1_000;

export function checkScaleInterval(autoscaler: Annotated): FieldError[] {
	const text = autoscaler.metadata.annotations?.[SCALE_INTERVAL];
	if (text === undefined || secondsOf(autoscaler) !== undefined) return [];
	const wanted = `must be a duration of at least ${DEFAULT_S}s and at most ${MOST_S / 60}m, such as 30s or 2m`;
	return [fieldError.invalid(`metadata.annotations[${SCALE_INTERVAL}]`, text, wanted)];
}

/** Undefined where there is none, or one that is not taken. */
function secondsOf({ metadata }: Annotated): number | undefined {
	const [, minutes, seconds] =
		/^(?:(\d{1,3})m)?(?:(\d{1,5})s)?$/.exec(metadata.annotations?.[SCALE_INTERVAL] ?? '') ?? [];
	if (minutes === undefined && seconds === undefined) return undefined;
	const total = Number(minutes ?? 0) * 60 + Number(seconds ?? 0);
	return total >= DEFAULT_S && total <= MOST_S ? total : undefined;
}
