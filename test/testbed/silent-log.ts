import type { Log } from '../../src/log.ts';

/** A log that says nothing, but for errors, which a test run should show; all of it where DRIFTLESS_TEST_LOG is set. */
export const silentLog: Log = {
	debug: (fields, message) => show(fields, message),
	info: (fields, message) => show(fields, message),
	warn: (fields, message) => show(fields, message),
	error: (fields, message) => console.error(message, fields),
};

function show(fields: object, message: string): void {
	if (process.env.DRIFTLESS_TEST_LOG) console.error(message, fields);
}
