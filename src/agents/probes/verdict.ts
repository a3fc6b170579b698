/** Counts a probe's results against its thresholds. Source: Kubernetes documentation, "Configure Liveness, Readiness and Startup Probes". */
import type * as core from 'kubernetes-types/core/v1.js';

export interface Tally {
	readonly successes: number;
	readonly failures: number;
	/** The last verdict; undefined until a threshold is met. */
	readonly verdict: boolean | undefined;
}

export const untold: Tally = { successes: 0, failures: 0, verdict: undefined };

/** The tally after one more result. */
export function count(tally: Tally, ok: boolean, probe: core.Probe): Tally {
	const successes = ok ? tally.successes + 1 : 0;
	const failures = ok ? 0 : tally.failures + 1;
	if (ok && successes >= (probe.successThreshold ?? 1)) return { successes, failures, verdict: true };
	if (!ok && failures >= (probe.failureThreshold ?? 3)) return { successes, failures, verdict: false };
	return { successes, failures, verdict: tally.verdict };
}
