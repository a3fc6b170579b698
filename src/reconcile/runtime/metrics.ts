/** What the runtime counts about each controller: plain numbers, for whoever shows them. */

export interface ControllerMetrics {
	/** Keys that wait now. */
	depth: number;
	/** Keys that are worked on now. */
	active: number;
	/** Calls of reconcile that have ended. */
	reconciles: number;
	/** Those of them that threw. */
	errors: number;
	/** How long all calls took together, in milliseconds. */
	totalMs: number;
	/** How long the longest call took, in milliseconds. */
	longestMs: number;
}

/** By the controller's name. Counters go on over terms of leadership when the same map is given again. */
export type Metrics = Map<string, ControllerMetrics>;

export function metricsOf(metrics: Metrics, controller: string): ControllerMetrics {
	const known = metrics.get(controller);
	if (known) return known;
	const fresh = { depth: 0, active: 0, reconciles: 0, errors: 0, totalMs: 0, longestMs: 0 };
	metrics.set(controller, fresh);
	return fresh;
}
