import { type Command, InvalidArgumentError } from 'commander';
import { type HttpClient, lines, logs as logsOf } from '../../client/index.ts';
import { Pod } from '../../kinds/index.ts';
import { ApiError } from '../../kinds/status.ts';
import { flag, goDuration, wholeNumber } from '../resources/flags.ts';
import { chooseContainer, findPod, sayChoice, startOrder } from '../resources/pods.ts';
import { type ResourceOptions, resourceCommand, withSession } from '../resources/session.ts';
import { write } from '../resources/write.ts';
import { UserError } from '../user-error.ts';

interface Options extends ResourceOptions {
	readonly container?: string;
	readonly allContainers?: boolean;
	readonly follow?: boolean;
	readonly previous?: boolean;
	readonly selector?: string;
	readonly tail?: number;
	/** Seconds. */
	readonly since?: number;
	readonly sinceTime?: string;
	readonly timestamps?: boolean;
	readonly limitBytes?: number;
	readonly prefix?: boolean;
}

/** One container whose log is shown. */
interface Stream {
	readonly pod: Pod;
	readonly container: string;
}

/** Lines of each pod where a selector asks for several, unless told otherwise; as kubectl. */
const SELECTED_TAIL = 10;
/** Logs that are followed at once. */
const MOST_STREAMS = 20;
/** The longest line that is kept whole when several logs are mixed. */
const LONGEST_LINE_BYTES = 1 << 20;

export function logs(program: Command): void {
	const command = resourceCommand(program, 'logs [pod] [container]', 'what a container has written', [
		'driftless logs web-5d8c7',
		'driftless logs deployment/web -c app -f --tail 20',
		'driftless logs web-5d8c7 --previous',
		'driftless logs -l app=web --all-containers --prefix --since 10m',
	])
		.option('-c, --container <name>', 'the container (default: the first)')
		.option('-l, --selector <selector>', 'the pods with these labels')
		.option('--tail <lines>', 'only the last lines; -1 for all', wholeNumber)
		.option('--since <duration>', 'only what is newer: 90s, 5m, 1h30m', goDuration)
		.option('--since-time <time>', 'only what is newer than a time: 2026-01-31T12:00:00Z', time)
		.option('--limit-bytes <bytes>', 'at most so many bytes', wholeNumber);
	flag(command, '-f, --follow', 'go on with what comes');
	flag(command, '-p, --previous', 'of the container before its last restart');
	flag(command, '--timestamps', 'with the time of each line');
	flag(command, '--all-containers', 'of all containers');
	flag(command, '--prefix', 'with the pod and container before each line');
	command.action((word: string | undefined, second: string | undefined, _: object, command: Command) =>
		withSession<Options>(command, async ({ client, namespace = 'default', fail }, given) => {
			const options = { ...given, container: given.container ?? second };
			const streams = await streamsOf(client, word, namespace, options);
			if (options.follow && streams.length > MOST_STREAMS)
				throw new UserError(`${streams.length} logs are more than the ${MOST_STREAMS} that can be followed at once`);
			const mixed = streams.length > 1 && options.follow;
			const show = (stream: Stream) =>
				showLog(client, stream, options, mixed || options.prefix === true).catch((error) => {
					if (!(error instanceof ApiError) || streams.length === 1) throw error;
					fail(error);
				});
			if (mixed) await Promise.all(streams.map(show));
			else for (const stream of streams) await show(stream);
		}),
	);
}

function time(text: string): string {
	const at = Date.parse(text);
	if (Number.isNaN(at)) throw new InvalidArgumentError('It takes a time such as 2026-01-31T12:00:00Z.');
	return new Date(at).toISOString();
}

async function streamsOf(
	client: HttpClient,
	word: string | undefined,
	namespace: string,
	options: Options,
): Promise<readonly Stream[]> {
	const { container, allContainers } = options;
	if (container && allContainers) throw new UserError('-c and --all-containers exclude each other: give either one');
	if (options.since !== undefined && options.sinceTime !== undefined)
		throw new UserError('--since and --since-time exclude each other: give either one');
	const of = (pod: Pod): Stream[] =>
		allContainers
			? startOrder(pod).map((name) => ({ pod, container: name }))
			: [{ pod, container: chooseContainer(pod, container).container }];
	if (options.selector !== undefined) {
		if (word !== undefined) throw new UserError('a name and a selector exclude each other: give either one');
		const { items } = await client.list(Pod, { namespace, labelSelector: options.selector });
		if (items.length === 0) process.stderr.write(`No resources found in ${namespace} namespace.\n`);
		return items.flatMap(of);
	}
	if (word === undefined) throw new UserError('whose logs? Give a POD, TYPE/NAME, or -l SELECTOR');
	const found = await findPod(client, word, namespace);
	if (allContainers) return of(found.pod);
	const chosen = chooseContainer(found.pod, container);
	sayChoice(found, word, chosen);
	return [{ pod: found.pod, container: chosen.container }];
}

/** Bytes as they come; as whole lines where they have a prefix or stand among those of others. */
async function showLog(
	client: HttpClient,
	{ pod, container }: Stream,
	options: Options,
	byLine: boolean,
): Promise<void> {
	const { name, namespace } = pod.metadata;
	const tail = options.tail ?? (options.selector === undefined ? -1 : SELECTED_TAIL);
	const bytes = logsOf(
		client,
		{ name, namespace },
		{
			container,
			follow: options.follow,
			previous: options.previous,
			timestamps: options.timestamps,
			sinceSeconds: options.since,
			sinceTime: options.sinceTime,
			limitBytes: options.limitBytes,
			tailLines: tail < 0 ? undefined : tail,
			// It ends with the log, or with the process.
			signal: new AbortController().signal,
		},
	);
	if (!byLine) {
		for await (const chunk of bytes) await write(process.stdout, chunk);
		return;
	}
	const prefix = options.prefix ? `[pod/${name}/${container}] ` : '';
	for await (const batch of lines(bytes, LONGEST_LINE_BYTES))
		await write(process.stdout, batch.map((line) => `${prefix}${line}\n`).join(''));
}
