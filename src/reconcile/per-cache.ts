import type { Context } from './controller.ts';

/**
 * State that a controller keeps beside its cache (what it has written, how full the nodes are): made when first asked for,
 * one a cache, and disposed of when the controller stops.
 */
export function perCache<S extends Disposable>(make: (context: Context) => S): (context: Context) => S {
	const states = new WeakMap<Context['cache'], { state: S; signal: AbortSignal }>();
	return (context) => {
		const held = states.get(context.cache);
		if (held && !held.signal.aborted) return held.state;
		const state = make(context);
		states.set(context.cache, { state, signal: context.signal });
		context.signal.addEventListener('abort', () => state[Symbol.dispose](), { once: true });
		return state;
	};
}
