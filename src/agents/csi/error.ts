/** What a driver answered, in the words in which Kubernetes' own callers of drivers say it: those of grpc's client for Go. */
import { PluginError } from '../plugins/client.ts';

/**
 * After these nobody knows whether the call is still being worked on, or was done: it is repeated, and what it may have done is
 * undone before anything else takes its place. Source: the Container Storage Interface, "Error Scheme".
 */
const UNSETTLED: ReadonlySet<string> = new Set([
	'CANCELLED',
	'DEADLINE_EXCEEDED',
	'UNAVAILABLE',
	'ABORTED',
	'RESOURCE_EXHAUSTED',
	'UNKNOWN',
]);

export const isUnsettled = (error: unknown): boolean => !(error instanceof PluginError) || UNSETTLED.has(error.code);

/** `rpc error: code = DeadlineExceeded desc = context deadline exceeded`. */
export function wordsOf(error: unknown): string {
	if (!(error instanceof PluginError)) return (error as Error).message;
	const code = error.code
		.toLowerCase()
		.split('_')
		.map((word) => (word === 'ok' ? 'OK' : word.charAt(0).toUpperCase() + word.slice(1)))
		.join('');
	const why = error.code === 'DEADLINE_EXCEEDED' ? 'context deadline exceeded' : error.message;
	return `rpc error: code = ${code} desc = ${why}`;
}
