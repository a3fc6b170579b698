/** The command line. Each command is a file in commands/; what it prints for people goes to standard output, errors to standard error. */
import { Command, CommanderError } from 'commander';
import { ApiError } from '../kinds/index.ts';
import { commands } from './commands/index.ts';
import { paintFor, tame } from './terminal.ts';
import { UserError } from './user-error.ts';
import { version } from './version.ts';

const program = new Command('driftless')
	.description('A container orchestrator driven by git: push Kubernetes YAML, and this machine converges to it.')
	.version(version, '-V, --version')
	.option('--data-dir <dir>', 'where everything is kept (DRIFTLESS_DATA_DIR; default /var/lib/driftless as root)')
	.option('--kubeconfig <file>', 'talk to the cluster of this kubeconfig instead of that of the data directory')
	.showHelpAfterError('(see the options with --help)')
	.exitOverride()
	.addHelpText(
		'after',
		`
Examples:
  driftless up                          run the whole platform on this machine
  git push $(driftless remote) main     make this machine run what the branch says
  driftless status                      what is in sync, what has drifted, and where
  driftless diff                        each drifted field, live and desired, with its file and line`,
	);
for (const command of commands) command(program);
// A reader that has seen enough (`| head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 2));

try {
	await program.parseAsync();
} catch (error) {
	process.exitCode = report(error);
}

/** One line for a mistake of the user's or of the world's, all there is to know for a defect. Returns the exit status. */
function report(error: unknown): number {
	if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
	const paint = paintFor(process.stderr);
	const say = (message: string) => process.stderr.write(`${paint('red', 'error:')} ${tame(message)}\n`);
	if (error instanceof UserError) {
		say(error.message);
		return error.exitCode;
	}
	if (error instanceof ApiError) {
		say(error.message);
		return 2;
	}
	if (error instanceof Error && (error as NodeJS.ErrnoException).code === 'EPIPE') return 0;
	say(error instanceof Error ? (isDefect(error) && error.stack) || error.message : String(error));
	return 2;
}

/** What only a mistake of ours throws. All else (a port that is taken, a full disk, a damaged file) says in its message what it is. */
function isDefect(error: Error): boolean {
	return (
		error instanceof TypeError ||
		error instanceof RangeError ||
		error instanceof ReferenceError ||
		error instanceof SyntaxError
	);
}
