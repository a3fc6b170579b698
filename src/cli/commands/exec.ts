import type { Command } from 'commander';
import { exec as execIn } from '../../client/index.ts';
import { flag } from '../resources/flags.ts';
import { chooseContainer, findPod, sayChoice } from '../resources/pods.ts';
import { rawTerminal, terminalSizes } from '../resources/raw-terminal.ts';
import { type ResourceOptions, resourceCommand, withSession } from '../resources/session.ts';
import { UserError } from '../user-error.ts';

interface Options extends ResourceOptions {
	readonly container?: string;
	readonly stdin?: boolean;
	readonly tty?: boolean;
	readonly quiet?: boolean;
}

export function exec(program: Command): void {
	const command = resourceCommand(program, 'exec <pod> [command...]', 'run a command in a container', [
		'driftless exec web-5d8c7 -- ls -l /srv',
		'driftless exec -it deployment/web -c app -- sh',
		'driftless exec -i web-5d8c7 -- tar x -C /srv < site.tar',
	])
		.addHelpText('after', '\nThe exit status is that of the command. Options of the command stand behind --.')
		.option('-c, --container <name>', 'the container (default: the first)');
	flag(command, '-i, --stdin', 'pass standard input to the command');
	flag(command, '-t, --tty', 'give the command a terminal');
	flag(command, '-q, --quiet', 'do not say which pod and container were chosen');
	command.action((word: string, words: string[], _: object, command: Command) =>
		withSession<Options>(command, async ({ client, namespace = 'default' }, options) => {
			if (words.length === 0) throw new UserError(`what shall run? driftless exec ${word} -- COMMAND`);
			const found = await findPod(client, word, namespace);
			const { phase } = found.pod.status ?? {};
			if (phase === 'Succeeded' || phase === 'Failed')
				throw new UserError(`pod ${found.pod.metadata.name} has ended (${phase}): nothing can run in it`, 1);
			const chosen = chooseContainer(found.pod, options.container);
			if (!options.quiet) sayChoice(found, word, chosen);

			const { stdin, stdout, stderr } = process;
			const tty = options.tty === true && stdin.isTTY === true;
			if (options.tty && !tty)
				process.stderr.write('warning: standard input is no terminal: the command gets none either\n');
			const ended = new AbortController();
			try {
				using _raw = tty && options.stdin ? rawTerminal(stdin) : undefined;
				process.exitCode = await execIn(
					client,
					{ namespace, name: found.pod.metadata.name },
					{
						container: chosen.container,
						command: words,
						tty,
						stdin: options.stdin ? stdin : undefined,
						stdout,
						stderr: tty ? undefined : stderr,
						sizes: tty && stdout.isTTY ? terminalSizes(stdout, ended.signal) : undefined,
						signal: ended.signal,
					},
				);
			} finally {
				ended.abort();
				// Who types on does not keep a command waiting that has ended.
				if (options.stdin) stdin.destroy();
			}
		}),
	);
}
