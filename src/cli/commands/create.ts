import type { Command } from 'commander';
import { ConfigMap, type Kind, type KubeObject, Namespace, Secret } from '../../kinds/index.ts';
import { ApiError } from '../../kinds/status.ts';
import { oneOf } from '../options.ts';
import { choice, collectTexts, filenames } from '../resources/flags.ts';
import { asText, type KeyValueOptions, readEntries } from '../resources/key-values.ts';
import type { ObjectFormat } from '../resources/print.ts';
import { reporter } from '../resources/report.ts';
import { type ResourceOptions, resourceCommand, type Session, withSession } from '../resources/session.ts';
import { UserError } from '../user-error.ts';

interface Options extends ResourceOptions, KeyValueOptions {
	readonly filename?: readonly string[];
	readonly kustomize?: string;
	readonly recursive?: boolean;
	readonly dryRun?: 'client' | 'server' | 'none';
	readonly output?: ObjectFormat;
	readonly type?: string;
}

export function create(program: Command): void {
	const command = withOutput(
		filenames(
			resourceCommand(program, 'create', 'make new objects, from files or by name', [
				'driftless create -f web.yaml',
				'driftless create namespace shop',
				'driftless create configmap settings --from-literal=mode=fast --from-file=app.conf',
				'driftless create secret generic login --from-literal=password=hunter2',
				'driftless create configmap settings --from-file=conf.d --dry-run=client -o yaml > settings.yaml',
			]),
			'what to create',
		),
	);
	command.action((_: object, command: Command) =>
		withSession<Options>(command, (session, options) => createFromFiles(session, options)),
	);
	named(command, 'namespace <name>', 'a namespace', ['driftless create namespace shop'], Namespace, (name) => ({
		apiVersion: 'v1',
		kind: 'Namespace',
		metadata: { name },
		spec: {},
	})).alias('ns');
	withEntries(
		named(
			command,
			'configmap <name>',
			'a ConfigMap of literals and files',
			[
				'driftless create configmap settings --from-literal=mode=fast',
				'driftless create configmap web --from-file=index.html',
			],
			ConfigMap,
			configMap,
		).alias('cm'),
	);
	const secret = command.command('secret').description('a Secret');
	withEntries(
		named(
			secret,
			'generic <name>',
			'a Secret of literals and files',
			['driftless create secret generic login --from-literal=password=hunter2'],
			Secret,
			secretOf,
		),
	).option('--type <type>', 'the type of the Secret', 'Opaque');
}

function withOutput(command: Command): Command {
	command.option('-o, --output <format>', 'print the objects: yaml, json or name', oneOf('yaml', 'json', 'name'));
	return choice(command, '--dry-run', 'create nothing', ['client', 'server', 'none'], 'client');
}

const withEntries = (command: Command): Command =>
	command
		.option('--from-literal <key=value>', 'an entry; may be given several times', collectTexts)
		.option('--from-file <[key=]path>', 'a file, or the files of a folder', collectTexts)
		.option('--from-env-file <path>', 'a file of KEY=value lines', collectTexts);

/** A subcommand that makes one object from its name and options. */
function named<T extends KubeObject>(
	parent: Command,
	usage: string,
	description: string,
	examples: readonly string[],
	kind: Kind<T>,
	make: (name: string, options: Options) => T | Promise<T>,
): Command {
	return withOutput(resourceCommand(parent, usage, description, examples)).action(
		(name: string, _: object, command: Command) =>
			withSession<Options>(command, async ({ client, namespace = 'default' }, options) => {
				const made = await make(name, options);
				const object = kind.namespaced ? { ...made, metadata: { ...made.metadata, namespace } } : made;
				const { report, send } = how(options);
				const result = send ? await client.create(kind, object, { dryRun: options.dryRun === 'server' }) : object;
				report.add(kind as unknown as Kind, result, 'created');
				report.end();
			}),
	);
}

function how(options: Options) {
	const { dryRun = 'none', output } = options;
	const remark = dryRun === 'client' ? 'dry run' : dryRun === 'server' ? 'server dry run' : undefined;
	return { report: reporter(output, remark), send: dryRun !== 'client' };
}

async function configMap(name: string, options: Options): Promise<ConfigMap> {
	const data: Record<string, string> = {};
	const binaryData: Record<string, string> = {};
	for (const [key, content] of await readEntries(options)) {
		const text = asText(content);
		if (text === undefined) binaryData[key] = Buffer.from(content).toString('base64');
		else data[key] = text;
	}
	return {
		apiVersion: 'v1',
		kind: 'ConfigMap',
		metadata: { name },
		...(Object.keys(data).length > 0 && { data }),
		...(Object.keys(binaryData).length > 0 && { binaryData }),
	};
}

async function secretOf(name: string, options: Options): Promise<Secret> {
	const entries = [...(await readEntries(options))];
	const data = Object.fromEntries(entries.map(([key, content]) => [key, Buffer.from(content).toString('base64')]));
	return {
		apiVersion: 'v1',
		kind: 'Secret',
		metadata: { name },
		type: options.type,
		...(entries.length > 0 && { data }),
	};
}

/** All of them are tried before the first is made. */
async function createFromFiles({ client, namespace, fail }: Session, options: Options): Promise<void> {
	if (!options.filename && !options.kustomize)
		throw new UserError('name what to create: -f FILE, or namespace, configmap or secret (driftless create --help)');
	const { faultText, readManifests } = await import('../resources/manifests.ts');
	const { applyOrder, isMissingNamespace, namespacesAmong, refusals } = await import('../resources/apply.ts');
	const where = { namespace: options.namespace, otherwise: namespace ?? 'default' };
	const all = applyOrder(await readManifests(client, options, where));
	const { report, send } = how(options);
	const faults: string[] = [];
	const tried: KubeObject[] = [];
	for (const given of send ? all : []) {
		try {
			tried.push(await client.create(given.kind, given.object, { dryRun: true, fieldValidation: 'Strict' }));
		} catch (error) {
			if (!(error instanceof ApiError) || error.code >= 500) throw error;
			if (isMissingNamespace(error, namespacesAmong(all))) tried.push(given.object);
			else faults.push(...refusals(given, error));
		}
	}
	if (faults.length > 0) throw new UserError(faultText(faults), 1);
	for (const [index, { kind, object }] of all.entries()) {
		try {
			const write = send && options.dryRun !== 'server';
			const result = write
				? await client.create(kind, object, { fieldValidation: 'Strict' })
				: (tried[index] ?? object);
			report.add(kind, result, 'created');
		} catch (error) {
			if (!(error instanceof ApiError)) throw error;
			fail(error);
		}
	}
	report.end();
}
