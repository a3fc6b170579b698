/**
 * `down`: nothing answers, the same call may succeed later. `late`: no answer came in time; what was asked for may have been
 * done or not, or may yet be. `unprepared`: what `prepare` makes is not there, or not any more.
 */
export type EngineFault = 'down' | 'late' | 'not-found' | 'conflict' | 'unprepared' | 'failed';

export class EngineError extends Error {
	override readonly name = 'EngineError';
	readonly fault: EngineFault;
	/** The engine's own words, without what we were doing. */
	readonly detail: string;
	constructor(fault: EngineFault, doing: string, detail: string) {
		super(`${doing}: ${detail}`);
		this.fault = fault;
		this.detail = detail;
	}
}
