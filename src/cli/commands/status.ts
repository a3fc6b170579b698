import type { Command } from 'commander';
import { stringify } from 'yaml';
import type { HttpClient } from '../../client/index.ts';
import {
	type Application,
	Application as ApplicationKind,
	type Event,
	Event as EventKind,
	type Node,
	Node as NodeKind,
} from '../../kinds/index.ts';
import { connect, findApplications, type GlobalOptions } from '../connect.ts';
import { oneOf } from '../options.ts';
import { nodeTroubles, statusText, verdict } from '../status.ts';
import { paintFor, tame } from '../terminal.ts';

/** With --watch the screen is redrawn at most this often, in ms. */
const REDRAW_MS = 200;

interface Options extends GlobalOptions {
	readonly watch?: boolean;
	readonly output?: 'wide' | 'json' | 'yaml';
}

export function status(program: Command): void {
	program
		.command('status [app]')
		.description('each application: revision, sync and health, and each drifted object with its drifted fields')
		.option('-w, --watch', 'show every change until interrupted')
		.option('-o, --output <format>', 'wide (every object), json or yaml', oneOf('wide', 'json', 'yaml'))
		.addHelpText(
			'after',
			`
Exit status: 0 everything in sync, 1 something has drifted, 2 error.

Examples:
  driftless status
  driftless status default -o wide
  driftless status --watch`,
		)
		.action(async (name: string | undefined, _: object, command: Command) => {
			const options = command.optsWithGlobals<Options>();
			await using client = await connect(options);
			if (options.watch) return await watch(client, name, options);
			const seen = await see(client, name, options);
			process.stdout.write(print(seen, options));
			process.exitCode = verdict(seen.applications);
		});
}

/** What a picture of the applications is made of. */
interface Seen {
	readonly applications: readonly Application[];
	readonly healed: readonly Event[];
	readonly nodes: readonly Node[];
}

async function see(client: HttpClient, name: string | undefined, { output }: Options): Promise<Seen> {
	const applications = await findApplications(client, name);
	if (output === 'json' || output === 'yaml') return { applications, healed: [], nodes: [] };
	const { items: healed } = await client.list(EventKind, { fieldSelector: 'reason=SelfHealed' });
	const { items: nodes } = await client.list(NodeKind, {});
	return { applications, healed, nodes };
}

function print({ applications, healed, nodes }: Seen, { output }: Options, now = Date.now()): string {
	const list = { apiVersion: 'v1', kind: 'List', items: applications };
	if (output === 'json') return `${JSON.stringify(list, null, 2)}\n`;
	if (output === 'yaml') return stringify(list);
	const paint = paintFor(process.stdout);
	const lines = [
		...statusText(tame(applications), tame(healed), { paint, wide: output === 'wide', now }),
		...nodeTroubles(tame(nodes), paint, now),
	];
	return `${lines.join('\n')}\n`;
}

/** Draws anew after each change that shows; on a terminal in place, and each second, since ages grow. */
async function watch(client: HttpClient, name: string | undefined, options: Options): Promise<void> {
	const stop = new AbortController();
	process.once('SIGINT', () => stop.abort());
	const terminal = process.stdout.isTTY && options.output !== 'json' && options.output !== 'yaml';
	let seen: Seen | undefined;
	const draw = () => {
		if (seen) process.stdout.write(terminal ? `\u001b[H\u001b[2J${print(seen, options)}` : `${print(seen, options)}\n`);
	};
	const look = async () => {
		const before = seen;
		seen = await see(client, name, options);
		// What has changed may be nothing that is shown, and that all has become older is no change.
		const now = Date.now();
		if (terminal || !before || print(seen, options, now) !== print(before, options, now)) draw();
	};
	const clock = terminal ? setInterval(draw, 1_000) : undefined;
	try {
		while (!stop.signal.aborted) {
			const { resourceVersion } = await client.list(ApplicationKind, {});
			await look();
			let drawn = Date.now();
			for await (const _ of client.watch(ApplicationKind, { resourceVersion, signal: stop.signal })) {
				// What comes while this waits is drawn with it: the list is read afterwards.
				await new Promise((resolve) => setTimeout(resolve, Math.max(0, drawn + REDRAW_MS - Date.now())));
				drawn = Date.now();
				await look();
			}
		}
	} finally {
		clearInterval(clock);
	}
}
