import type { Command } from 'commander';
import type { HttpClient } from '../../client/index.ts';
import type { Kind, KubeObject } from '../../kinds/index.ts';
import { ApiError } from '../../kinds/status.ts';
import { flag } from '../resources/flags.ts';
import { allNamespaces, isNotFound, type ResourceOptions, resourceCommand, withSession } from '../resources/session.ts';
import { targetsOf } from '../resources/targets.ts';
import { tame } from '../terminal.ts';

interface Options extends ResourceOptions {
	readonly selector?: string;
	readonly showEvents: boolean;
}

export function describe(program: Command): void {
	const command = resourceCommand(program, 'describe [resources...]', 'all about objects, and what happened to them', [
		'driftless describe pod web-5d8c7',
		'driftless describe deployment/web',
		'driftless describe nodes',
		'driftless describe pods -l app=web -n shop',
	]);
	allNamespaces(command).option('-l, --selector <selector>', 'the objects with these labels');
	flag(command, '--show-events', 'with the events about each object', true);
	command.action((words: string[], _: object, command: Command) =>
		withSession<Options>(command, async ({ client, namespace, fail }, options) => {
			const { describe: textOf } = await import('../resources/describe/index.ts');
			const targets = await targetsOf(client, words, options);
			let described = 0;
			let failed = false;
			for (const { kind, names } of targets) {
				const within = kind.namespaced ? namespace : undefined;
				for (const name of names.length > 0 ? names : [undefined]) {
					try {
						for (const object of await find(client, kind, within, name, options)) {
							const text = await textOf(client, kind, object, Date.now(), options);
							process.stdout.write(`${described++ > 0 ? '\n\n' : ''}${tame(text.join('\n'))}\n`);
						}
					} catch (error) {
						if (!(error instanceof ApiError)) throw error;
						fail(error);
						failed = true;
					}
				}
			}
			if (described > 0 || failed) return;
			const inOne = namespace !== undefined && targets.some(({ kind }) => kind.namespaced);
			process.stderr.write(`No resources found${inOne ? ` in ${namespace} namespace.` : ''}\n`);
		}),
	);
}

/** The object of that name, or else those whose names begin with it; without a name, those of the selector. Throws ApiError. */
async function find(
	client: HttpClient,
	kind: Kind,
	namespace: string | undefined,
	name: string | undefined,
	{ selector: labelSelector }: Options,
): Promise<readonly KubeObject[]> {
	if (name === undefined) return (await client.list(kind, { namespace, labelSelector })).items;
	try {
		return [await client.get(kind, { namespace, name })];
	} catch (error) {
		if (!isNotFound(error)) throw error;
		const { items } = await client.list(kind, { namespace });
		const begun = items.filter((object) => object.metadata.name.startsWith(name));
		if (begun.length === 0) throw error;
		return begun;
	}
}
