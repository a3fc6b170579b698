/**
 * Gives memory back at rest. The room for new objects grows with the work and shrinks only in a full collection, which a
 * process that has little to do does not come to: what a busy minute took would stay taken.
 */
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const LOOK_MS = 30_000;
/** Less than this share of a core is rest. */
const REST = 0.05;
/** Less room for new objects than this is not worth a collection, in bytes. */
const WORTH = 8 * 2 ** 20;

/** Looks now and then until it is disposed. */
export function giveMemoryBack(everyMs = LOOK_MS): Disposable {
	let collect: (() => void) | undefined;
	let cpu = process.cpuUsage();
	let at = performance.now();
	const timer = setInterval(() => {
		const { user, system } = process.cpuUsage(cpu);
		const atRest = (user + system) / 1_000 < (performance.now() - at) * REST;
		if (atRest && roomForNewObjects() > WORTH) {
			collect ??= collector();
			collect();
		}
		cpu = process.cpuUsage();
		at = performance.now();
	}, everyMs);
	return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** Not by Node.js' own flag: with it, code compiled before is not used, and every start is slower. */
function collector(): () => void {
	setFlagsFromString('--expose-gc');
	return runInNewContext('gc') as () => void;
}

/** In bytes. */
export const roomForNewObjects = (): number =>
	getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')?.space_size ?? 0;
