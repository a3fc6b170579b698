/** What a simulated container does, as the annotations of its pod say it. */
import { isQuantity, quantity } from '../../../kinds/index.ts';
import { EngineError } from '../error.ts';

/** Of every annotation that is read here; `simulated.driftless.io/CONTAINER.NAME` is that of one container. */
const PREFIX = 'simulated.driftless.io/';
/** The longest that a start takes, in seconds: the engine has to answer within the time that a change has. */
const MAX_START_S = 60;
/** The longest of all other times, in seconds: that of Node's timers. */
const MAX_S = Math.floor((2 ** 31 - 1) / 1000);
const MAX_EXIT_CODE = 255;

export interface Behaviour {
	/** Milliseconds that its start takes. */
	readonly startMs: number;
	/** Why it cannot be started. */
	readonly startError?: string;
	/** Milliseconds from its start until its probes succeed. */
	readonly readyMs: number;
	/** Milliseconds that it runs; absent: until it is asked to stop. */
	readonly runMs?: number;
	/** With which it ends when it has run so long. */
	readonly exitCode: number;
	/** Milliseconds from the stop signal to its end. */
	readonly stopMs: number;
	/** What it writes at its start, a line each. */
	readonly log: readonly string[];
	/** What a command in it writes; absent: no command can be run. */
	readonly execOutput?: string;
	readonly execExitCode: number;
	/** Cores that it keeps busy. */
	readonly cpu: number;
	/** Bytes. */
	readonly memory: number;
}

/** Reads the annotations of a container's pod. Throws EngineError, naming the annotation, where a value is none. */
export function behaviourOf(annotations: Readonly<Record<string, string>>, container: string): Behaviour {
	const find = (name: string): readonly [key: string, value: string] | undefined => {
		for (const key of [`${PREFIX}${container}.${name}`, PREFIX + name]) {
			const value = annotations[key];
			if (value !== undefined) return [key, value];
		}
		return undefined;
	};
	const read = <T>(name: string, wanted: string, parse: (value: string) => T | undefined): T | undefined => {
		const found = find(name);
		if (!found) return undefined;
		const [key, value] = found;
		const parsed = parse(value);
		if (parsed !== undefined) return parsed;
		throw new EngineError('failed', `create container ${container}`, `the annotation ${key} takes ${wanted}: ${value}`);
	};
	const number = (name: string, wanted: string, most: number, form: RegExp) =>
		read(name, wanted, (value) => (form.test(value) && Number(value) <= most ? Number(value) : undefined));
	const ms = (name: string, most = MAX_S) => {
		const seconds = number(name, `seconds from 0 to ${most}`, most, /^\d+(\.\d+)?$/);
		return seconds === undefined ? undefined : seconds * 1000;
	};
	const code = (name: string) => number(name, `a number from 0 to ${MAX_EXIT_CODE}`, MAX_EXIT_CODE, /^\d+$/) ?? 0;
	const amount = (name: string) =>
		read(name, 'a quantity', (value) => (isQuantity(value) && quantity(value) >= 0 ? quantity(value) : undefined)) ?? 0;
	const log = find('log')?.[1] ?? `simulated: nothing runs in the container ${container}`;
	return {
		startMs: ms('start-seconds', MAX_START_S) ?? 0,
		startError: find('start-error')?.[1],
		readyMs: ms('ready-seconds') ?? 0,
		runMs: ms('run-seconds'),
		exitCode: code('exit-code'),
		stopMs: ms('stop-seconds') ?? 0,
		log: log.replace(/\n$/, '').split('\n'),
		execOutput: find('exec-output')?.[1],
		execExitCode: code('exec-exit-code'),
		cpu: amount('cpu'),
		memory: amount('memory'),
	};
}
