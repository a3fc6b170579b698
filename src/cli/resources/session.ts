/** What every resource command has: its options, a client, a namespace, and how it fails. */
import type { Command } from 'commander';
import type { HttpClient } from '../../client/index.ts';
import { ApiError } from '../../kinds/status.ts';
import { connect, type GlobalOptions } from '../connect.ts';
import { paintFor } from '../terminal.ts';
import { UserError } from '../user-error.ts';
import { flag } from './flags.ts';

export interface ResourceOptions extends GlobalOptions {
	readonly namespace?: string;
	readonly allNamespaces?: boolean;
}

export interface Session {
	readonly client: HttpClient;
	/** Of what names none; undefined for all namespaces. */
	readonly namespace: string | undefined;
	/** Says what went wrong with one of several things; the command goes on, and ends with status 1. */
	fail(error: unknown): void;
}

/** A command on resources with the options that all of them take. `examples` are lines. */
export function resourceCommand(
	parent: Command,
	usage: string,
	description: string,
	examples: readonly string[],
): Command {
	return parent
		.command(usage)
		.description(description)
		.option('-n, --namespace <namespace>', 'namespace (default: that of the kubeconfig)')
		.option('--data-dir <dir>', 'the data directory of the driftless to talk to')
		.option('--kubeconfig <file>', 'talk to the cluster of this kubeconfig instead')
		.addHelpText('after', `\nExamples:\n${examples.map((line) => `  ${line}`).join('\n')}`);
}

export const allNamespaces = (command: Command): Command => flag(command, '-A, --all-namespaces', 'in all namespaces');

/** Runs a command's work with a client, which is closed afterwards. What the API refuses ends the command with one line and status 1. */
export async function withSession<O extends ResourceOptions>(
	command: Command,
	work: (session: Session, options: O) => Promise<void>,
): Promise<void> {
	endWithReader(process.stdout);
	endWithReader(process.stderr);
	const options = command.optsWithGlobals<O>();
	await using client = await connect(options);
	const namespace = options.allNamespaces ? undefined : (options.namespace ?? client.transport.config.namespace);
	const fail = (error: unknown) => {
		const known = asUserError(error);
		if (!(known instanceof UserError)) throw known;
		process.stderr.write(`${paintFor(process.stderr)('red', 'error:')} ${known.message}\n`);
		process.exitCode = known.exitCode;
	};
	try {
		await work({ client, namespace, fail }, options);
	} catch (error) {
		throw asUserError(error);
	}
}

/** The API's refusals as errors of one line with status 1; everything else as it is. */
function asUserError(error: unknown): unknown {
	if (!(error instanceof ApiError)) return error;
	return new UserError(error.message.replace(/\s*\n\s*/g, ' '), 1);
}

/** A reader that has seen enough (`| head`) is no error: there is nothing left to do. */
function endWithReader(stream: NodeJS.WriteStream): void {
	stream.on('error', (error: NodeJS.ErrnoException) => {
		if (error.code !== 'EPIPE') throw error;
		process.exit();
	});
}

export const isNotFound = (error: unknown): error is ApiError =>
	error instanceof ApiError && error.reason === 'NotFound';
