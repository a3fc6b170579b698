/** Logs what fails once per fault, not once per attempt: a retry that fails for the same reason is silent until it works again. */
import type { Log } from '../log.ts';

export interface Faults {
	/** Logs a warning, unless the same thing failed with the same message before: then it is counted. */
	failed(what: string, error: unknown, message: string, fields?: object): void;
	/** Tells the log that it works again, if it had failed, and how many times it had. */
	healed(what: string, message: string, fields?: object): void;
	/** Forgets a fault silently: the thing that failed is gone. */
	forget(what: string): void;
}

export function faults(log: Log): Faults {
	const known = new Map<string, { cause: string; times: number }>();
	return {
		failed(what, error, message, fields = {}) {
			const cause = describe(error);
			const fault = known.get(what) ?? { cause: '', times: 0 };
			known.set(what, fault);
			fault.times++;
			if (fault.cause === cause) return;
			fault.cause = cause;
			log.warn({ ...fields, cause }, message);
		},
		healed(what, message, fields = {}) {
			const { times } = known.get(what) ?? {};
			if (known.delete(what)) log.info({ ...fields, times }, message);
		},
		forget(what) {
			known.delete(what);
		},
	};
}

/** An error and its causes in one line. */
export function describe(error: unknown): string {
	const parts: string[] = [];
	for (let current = error, depth = 0; current !== undefined && depth < 4; depth++) {
		parts.push(current instanceof Error ? current.message || current.name : String(current));
		current = current instanceof Error ? current.cause : undefined;
	}
	return parts.filter((part, at) => !parts.slice(0, at).some((earlier) => earlier.includes(part))).join(': ');
}
