/** Docker's errors as ours. */
import { EngineError } from '../error.ts';

const faults: Readonly<Record<number, 'not-found' | 'conflict'>> = { 404: 'not-found', 409: 'conflict' };

/** `network NAME not found`; by its status alone it would be a container or an image that is not there. */
const NETWORK_GONE = /^(could not find a |.*: )?network \S+ not found/;

/** An error without an HTTP status is one of the connection. */
export function asEngineError(doing: string, address: string, error: unknown): EngineError {
	if (error instanceof EngineError) return error;
	const { statusCode, json, code, message, name } = error as {
		statusCode?: number;
		json?: { message?: string };
		code?: string;
		message?: string;
		name?: string;
	};
	if (statusCode !== undefined) {
		// Of an answer that is a stream dockerode has only its own message.
		const said = json?.message ?? message?.replace(/^\(HTTP code \d+\) .*? - /s, '') ?? 'failed';
		const fault = NETWORK_GONE.test(said) ? 'unprepared' : (faults[statusCode] ?? 'failed');
		return new EngineError(fault, doing, said.trim());
	}
	if (name === 'AbortError') return new EngineError('failed', doing, 'given up');
	if (code || message === 'socket hang up' || message === 'aborted') {
		return new EngineError('down', doing, `the engine at ${address} does not answer (${code ?? message})`);
	}
	return new EngineError('failed', doing, message ?? String(error));
}
