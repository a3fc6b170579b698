/** Takes the data directory that its argument names, says so, and waits to be killed. */
import { takeDataDirectory, writeRunning } from '../../src/cli/data-dir.ts';
import { UserError } from '../../src/cli/user-error.ts';

const [folder = ''] = process.argv.slice(2);
try {
	using _taken = takeDataDirectory(folder);
	writeRunning(folder, { pid: process.pid, api: '', http: '' });
	process.stdout.write('taken\n');
	await new Promise((resolve) => setTimeout(resolve, 600_000));
} catch (error) {
	if (!(error instanceof UserError)) throw error;
	process.stdout.write(`refused: ${error.message}\n`);
}
