import { type Command, Option } from 'commander';
import type { DeleteOptions } from '../../client/index.ts';
import { ApiError } from '../../kinds/status.ts';
import { oneOf } from '../options.ts';
import { type Deleted, type Doomed, deleteOne, untilGone } from '../resources/delete.ts';
import { choice, filenames, flag, goDuration, wholeNumber } from '../resources/flags.ts';
import { nameOf } from '../resources/print.ts';
import { startProgress } from '../resources/progress.ts';
import { kindName } from '../resources/resource-types.ts';
import {
	allNamespaces,
	isNotFound,
	type ResourceOptions,
	resourceCommand,
	type Session,
	withSession,
} from '../resources/session.ts';
import { targetsOf } from '../resources/targets.ts';
import { UserError } from '../user-error.ts';

interface Options extends ResourceOptions {
	readonly filename?: readonly string[];
	readonly kustomize?: string;
	readonly recursive?: boolean;
	readonly selector?: string;
	readonly fieldSelector?: string;
	readonly all?: boolean;
	readonly gracePeriod?: number;
	readonly force?: boolean;
	readonly now?: boolean;
	readonly wait: boolean;
	/** Seconds. */
	readonly timeout?: number;
	readonly ignoreNotFound?: boolean;
	readonly cascade: 'background' | 'foreground' | 'orphan';
	readonly dryRun?: 'server' | 'client' | 'none';
	readonly output?: 'name';
}

/** The longest that Node's timers wait, in ms. */
const LONGEST_MS = 2 ** 31 - 1;

export function deleteCommand(program: Command): void {
	const command = resourceCommand(program, 'delete [resources...]', 'delete objects, and wait until they are gone', [
		'driftless delete pod web',
		'driftless delete deployment/web service/web --wait=false',
		'driftless delete pods -l app=web',
		'driftless delete pods --all -n shop --now',
		'driftless delete -f web.yaml --ignore-not-found',
	]);
	allNamespaces(filenames(command, 'delete what is written there'))
		.option('-l, --selector <selector>', 'the objects with these labels')
		.option('--field-selector <selector>', 'the objects with these fields')
		.option('--grace-period <seconds>', 'how long pods may take to end; 0 only with --force', wholeNumber)
		.option('--timeout <duration>', 'how long to wait for objects to be gone (default: without end)', goDuration)
		.addOption(new Option('-o, --output <format>', 'name').argParser(oneOf('name')));
	flag(command, '--all', 'all objects of these types in the namespace');
	flag(command, '--force', 'take pods out of the API at once, without waiting for their node');
	flag(command, '--now', 'a grace period of one second');
	flag(command, '--wait', 'wait until the objects are gone', true);
	flag(command, '--ignore-not-found', 'objects that are not there are no error');
	choice(command, '--cascade', 'what becomes of dependents', ['background', 'foreground', 'orphan'], 'background');
	choice(command, '--dry-run', 'delete nothing', ['server', 'client', 'none'], 'server');
	command.action((words: string[], _: object, command: Command) =>
		withSession<Options>(command, async (session, options) => {
			const how = deleteOptions(options);
			const doomed = await whatToDelete(session, words, options);
			if (doomed.length === 0) {
				if (!options.filename) process.stderr.write('No resources found\n');
				return;
			}
			if (options.force)
				process.stderr.write(
					'warning: nobody waits for forced pods to end; they may run on until their node sees that they are gone\n',
				);
			const deleted = await deleteAll(session, doomed, how, options);
			if (options.wait && !how.dryRun) await waitForAll(session, deleted, options);
		}),
	);
}

/** Throws a UserError for options that contradict each other. */
function deleteOptions({ gracePeriod, force, now, cascade = 'background', dryRun }: Options): DeleteOptions {
	if (now && gracePeriod !== undefined)
		throw new UserError('--now is a grace period of one second: leave out --grace-period');
	if (gracePeriod === 0 && !force)
		throw new UserError('--grace-period=0 takes pods away without waiting for their node: say so with --force');
	if (force && gracePeriod !== undefined && gracePeriod > 0)
		throw new UserError('--force does not wait: leave out --grace-period');
	const policies = { background: 'Background', foreground: 'Foreground', orphan: 'Orphan' } as const;
	const wanted = gracePeriod !== undefined && gracePeriod < 0 ? undefined : gracePeriod;
	return {
		gracePeriodSeconds: force ? 0 : now ? 1 : wanted,
		propagationPolicy: policies[cascade],
		dryRun: dryRun === 'server' || dryRun === 'client',
	};
}

/** The objects of the words or files, those that selectors or --all mean looked up. */
async function whatToDelete(session: Session, words: readonly string[], options: Options): Promise<Doomed[]> {
	const { client, namespace, fail } = session;
	if (options.filename || options.kustomize) {
		if (words.length > 0) throw new UserError('give either files or objects, not both');
		const { readManifests } = await import('../resources/manifests.ts');
		const where = { namespace: options.namespace, otherwise: namespace ?? 'default' };
		const given = await readManifests(client, options, where, { validate: false });
		return given.map(({ kind, object: { metadata } }) => ({
			kind,
			name: metadata.name,
			namespace: metadata.namespace,
		}));
	}
	const targets = await targetsOf(client, words, options);
	const doomed: Doomed[] = [];
	for (const { kind, names } of targets) {
		const within = kind.namespaced ? namespace : undefined;
		if (names.length > 0) {
			if (options.all) throw new UserError('--all and names exclude each other: give either one');
			doomed.push(...names.map((name) => ({ kind, name, namespace: within })));
			continue;
		}
		if (!options.all && options.selector === undefined && options.fieldSelector === undefined)
			throw new UserError(`which ${kind.plural}? Give names, -l SELECTOR, or --all for all of them`);
		try {
			const { selector: labelSelector, fieldSelector } = options;
			const { items } = await client.list(kind, { namespace: within, labelSelector, fieldSelector });
			doomed.push(...items.map(({ metadata: { name, namespace } }) => ({ kind, name, namespace })));
		} catch (error) {
			if (!(error instanceof ApiError)) throw error;
			fail(error);
		}
	}
	return doomed;
}

/** All deletions are asked for before any is waited for. */
async function deleteAll(
	{ client, fail }: Session,
	doomed: readonly Doomed[],
	how: DeleteOptions,
	options: Options,
): Promise<Deleted[]> {
	const deleted: Deleted[] = [];
	const remark = how.dryRun ? ' (server dry run)' : '';
	for (const each of doomed) {
		try {
			deleted.push(await deleteOne(client, each, how));
			const line =
				options.output === 'name'
					? nameOf(each.kind, each.name)
					: `${kindName(each.kind)} "${each.name}" ${options.force ? 'force deleted' : 'deleted'}${remark}`;
			process.stdout.write(`${line}\n`);
		} catch (error) {
			if (!(error instanceof ApiError)) throw error;
			// What a selector found and somebody else deleted since is as it should be.
			const fine = isNotFound(error) && (options.ignoreNotFound || options.all || options.selector !== undefined);
			if (!fine) fail(error);
		}
	}
	return deleted;
}

async function waitForAll({ client, fail }: Session, deleted: readonly Deleted[], { timeout }: Options): Promise<void> {
	const signal = timeout ? AbortSignal.timeout(Math.min(timeout * 1000, LONGEST_MS)) : new AbortController().signal;
	const late: unknown[] = [];
	{
		using progress = startProgress(process.stderr);
		for (const [index, each] of deleted.entries()) {
			const more = deleted.length - index - 1;
			progress.set(`waiting until ${nameOf(each.kind, each.name)} is gone${more ? `, and ${more} more` : ''}`);
			try {
				await untilGone(client, each, signal);
			} catch (error) {
				if (!(error instanceof UserError || error instanceof ApiError)) throw error;
				late.push(error);
			}
		}
	}
	for (const error of late) fail(error);
}
