import type { Command } from 'commander';
import type { Kind, KubeObject } from '../../kinds/index.ts';
import { ApiError } from '../../kinds/status.ts';
import { oneOf } from '../options.ts';
import { collectWords, flag } from '../resources/flags.ts';
import { formatObjects, nameOf, type ObjectFormat } from '../resources/print.ts';
import {
	allNamespaces,
	isNotFound,
	type ResourceOptions,
	resourceCommand,
	type Session,
	withSession,
} from '../resources/session.ts';
import {
	type ColumnDefinition,
	cellsOf,
	createAligner,
	fetchTable,
	headerOf,
	type Row,
	type Shown,
	watchTable,
} from '../resources/tables.ts';
import { type Target, targetsOf } from '../resources/targets.ts';
import { UserError } from '../user-error.ts';

interface Options extends ResourceOptions {
	readonly selector?: string;
	readonly fieldSelector?: string;
	readonly output?: ObjectFormat | 'wide';
	readonly watch?: boolean;
	readonly watchOnly?: boolean;
	readonly headers: boolean;
	readonly showLabels?: boolean;
	readonly labelColumns?: readonly string[];
	readonly showKind?: boolean;
	readonly showManagedFields?: boolean;
	readonly ignoreNotFound?: boolean;
}

export function get(program: Command): void {
	const command = resourceCommand(program, 'get [resources...]', 'show objects: pods, deploy,svc, all, pod/web, ...', [
		'driftless get pods',
		'driftless get deploy,svc -n shop',
		'driftless get pods -A -o wide --watch',
		'driftless get pods -l app=web --field-selector status.phase=Running',
		'driftless get deployment/web -o yaml',
	]);
	allNamespaces(command)
		.option('-l, --selector <selector>', 'only objects with these labels: app=web,tier!=cache')
		.option('--field-selector <selector>', 'only objects with these fields: status.phase=Running')
		.option('-o, --output <format>', 'wide, yaml, json or name', oneOf('wide', 'yaml', 'json', 'name'))
		.option('--no-headers', 'without the names of the columns')
		.option('-L, --label-columns <labels>', 'labels with columns of their own', collectWords);
	flag(command, '-w, --watch', 'show changes as they come, until interrupted');
	flag(command, '--watch-only', 'show changes only');
	flag(command, '--show-labels', 'with the labels of each object');
	flag(command, '--show-kind', 'with the kind before each name');
	flag(command, '--show-managed-fields', 'with metadata.managedFields in yaml and json');
	flag(command, '--ignore-not-found', 'say nothing of objects that are not there');
	command.action((words: string[], _: object, command: Command) =>
		withSession<Options>(command, async (session, options) => {
			const targets = await targetsOf(session.client, words, options);
			if (options.watch || options.watchOnly) return watch(session, targets, options);
			const { output } = options;
			if (output === undefined || output === 'wide') await printTables(session, targets, options);
			else await printObjects(session, targets, output, options);
		}),
	);
}

/** Runs for each name, or once for all objects of a target; what is not there is told, and the others go on. */
async function forEach(
	{ fail }: Session,
	{ names }: Target,
	{ ignoreNotFound }: Options,
	look: (name: string | undefined) => Promise<void>,
): Promise<void> {
	for (const name of names.length > 0 ? names : [undefined]) {
		try {
			await look(name);
		} catch (error) {
			if (!(error instanceof ApiError)) throw error;
			if (!(ignoreNotFound && isNotFound(error))) fail(error);
		}
	}
}

async function printTables(session: Session, targets: readonly Target[], options: Options): Promise<void> {
	let printed = 0;
	let asked = 0;
	for (const target of targets) {
		const { kind } = target;
		let columns: readonly ColumnDefinition[] = [];
		const rows: Row[] = [];
		await forEach(session, target, options, async (name) => {
			const table = await fetchTable(session.client, kind, { ...options, namespace: namespaceOf(session, kind), name });
			asked++;
			columns = table.columnDefinitions ?? columns;
			rows.push(...(table.rows ?? []));
		});
		if (rows.length === 0) continue;
		const shown = shownFor(target, targets, options);
		const header = options.headers ? [headerOf(columns, shown)] : [];
		const text = createAligner()([...header, ...rows.map((row) => cellsOf(row, columns, shown))]);
		process.stdout.write(`${printed++ > 0 ? '\n' : ''}${text.join('\n')}\n`);
	}
	if (printed === 0 && asked > 0 && !options.ignoreNotFound) sayNothing(session, targets);
}

function shownFor({ kind }: Target, targets: readonly Target[], options: Options): Shown {
	return {
		wide: options.output === 'wide',
		namespace: options.allNamespaces === true && kind.namespaced,
		kind: options.showKind || targets.length > 1 ? kind : undefined,
		labels: options.showLabels,
		labelColumns: options.labelColumns,
	};
}

const namespaceOf = ({ namespace }: Session, kind: Kind) => (kind.namespaced ? namespace : undefined);

function sayNothing({ namespace }: Session, targets: readonly Target[]): void {
	const inOne = namespace !== undefined && targets.some(({ kind }) => kind.namespaced);
	process.stderr.write(`No resources found${inOne ? ` in ${namespace} namespace.` : ''}\n`);
}

async function printObjects(
	session: Session,
	targets: readonly Target[],
	output: ObjectFormat,
	options: Options,
): Promise<void> {
	const { client } = session;
	const found: { kind: Kind; object: KubeObject }[] = [];
	for (const target of targets) {
		const { kind } = target;
		const namespace = namespaceOf(session, kind);
		await forEach(session, target, options, async (name) => {
			const { selector: labelSelector, fieldSelector } = options;
			const objects =
				name === undefined
					? (await client.list(kind, { namespace, labelSelector, fieldSelector })).items
					: [await client.get(kind, { namespace, name })];
			for (const object of objects) found.push({ kind, object });
		});
	}
	if (output === 'name') {
		for (const { kind, object } of found) process.stdout.write(`${nameOf(kind, object.metadata.name)}\n`);
		return;
	}
	const one = targets.length === 1 && targets[0]?.names.length === 1;
	if (one && found.length === 0) return;
	const list = !one;
	const objects = found.map(({ object }) => object);
	process.stdout.write(`${formatObjects(objects, output, { list, showManagedFields: options.showManagedFields })}\n`);
}

/** Shows what is there, and then each change in a line of its own. Ends when the process is interrupted. */
async function watch(session: Session, targets: readonly Target[], options: Options): Promise<void> {
	const [target] = targets;
	if (!target || targets.length > 1 || target.names.length > 1)
		throw new UserError('only objects of one type, or one of them by its name, can be watched');
	const { kind } = target;
	const [name] = target.names;
	const whole = options.output === 'yaml' || options.output === 'json';
	const includeObject = whole ? ('Object' as const) : undefined;
	const query = { ...options, namespace: namespaceOf(session, kind), name, includeObject };
	const show = createChangePrinter(kind, shownFor(target, targets, options), options);
	const { signal } = new AbortController();
	let since: string | undefined;
	let first = true;
	for (;;) {
		// At first, and whenever the watch has been away for longer than the server remembers.
		if (since === undefined) {
			const table = await fetchTable(session.client, kind, query);
			since = table.metadata?.resourceVersion;
			if (!(first && options.watchOnly)) show(table.columnDefinitions, table.rows ?? []);
			first = false;
		}
		try {
			for await (const { type, table } of watchTable(session.client, kind, query, since, signal)) {
				since = table.metadata?.resourceVersion ?? since;
				if (type !== 'BOOKMARK') show(table.columnDefinitions, table.rows ?? []);
			}
		} catch (error) {
			if (!(error instanceof ApiError && error.code === 410)) throw error;
			since = undefined;
		}
	}
}

function createChangePrinter(kind: Kind, shown: Shown, options: Options) {
	const align = createAligner();
	let columns: readonly ColumnDefinition[] = [];
	let withHeader = options.headers;
	return (definitions: readonly ColumnDefinition[] | null | undefined, rows: readonly Row[]): void => {
		columns = definitions ?? columns;
		if (rows.length === 0) return;
		const { output } = options;
		if (output === 'yaml' || output === 'json' || output === 'name') {
			for (const { object } of rows) if (object) process.stdout.write(changedObject(kind, object, output, options));
			return;
		}
		const header = withHeader ? [headerOf(columns, shown)] : [];
		withHeader = false;
		for (const line of align([...header, ...rows.map((row) => cellsOf(row, columns, shown))]))
			process.stdout.write(`${line}\n`);
	};
}

/** An object of a watch in full. YAML documents are separated. */
function changedObject(kind: Kind, object: KubeObject, output: ObjectFormat, { showManagedFields }: Options): string {
	if (output === 'name') return `${nameOf(kind, object.metadata.name)}\n`;
	const text = formatObjects([object], output, { list: false, showManagedFields });
	return output === 'yaml' ? `${text}\n---\n` : `${text}\n`;
}
