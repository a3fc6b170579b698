/** Connects to an engine as driftless does on a machine where none runs, and says what it found. Argument: data directory. */
import { connectEngine } from '../../src/agents/index.ts';
import { silentLog } from '../testbed/silent-log.ts';

const abort = new AbortController();
const [dataDir = '', task] = process.argv.slice(2);
const engine = await connectEngine({ dataDir, log: silentLog, signal: abort.signal });
console.log((await engine.info()).root);
if (task === 'stop') {
	await engine.stop();
	await engine[Symbol.asyncDispose]();
} else {
	// Follows the events as the agent does: that revives an engine that has died.
	for await (const event of engine.events(abort.signal)) console.log(event.type);
}
