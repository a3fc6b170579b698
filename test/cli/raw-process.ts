/** Makes its terminal raw, tells its sizes, and ends as its argument says: return, throw, exit or wait. */
import { rawTerminal, terminalSizes } from '../../src/cli/resources/raw-terminal.ts';

const [how = ''] = process.argv.slice(2);
const ended = new AbortController();
{
	using _raw = rawTerminal(process.stdin);
	process.stdout.write(`raw ${process.pid}\r\n`);
	if (how === 'throw') throw new Error('thrown');
	if (how === 'exit') process.exit(3);
	if (how === 'wait' || how === 'keys') {
		process.stdin.on('data', (keys) => {
			process.stdout.write(`keys ${JSON.stringify(String(keys))}\r\n`);
			if (String(keys).includes('q')) ended.abort();
		});
		for await (const { width, height } of terminalSizes(process.stdout, ended.signal))
			process.stdout.write(`size ${width}x${height}\r\n`);
	}
}
process.stdin.destroy();
