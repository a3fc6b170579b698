/**
 * Two clients that edit the sources and destinations of two Applications while a third one pushes: what an Application wants all the
 * time is never touched, and in the end there is what the last specs name, at the last commits, and nothing else.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import {
	ApiError,
	Application,
	type ApplicationSource,
	type ApplicationSpec,
	ConfigMap,
	type Dynamic,
	Namespace,
	type Operation,
} from '../../src/kinds/index.ts';
import { trackedBy } from '../../src/sync/want/desired.ts';
import type { GitOpsWorld } from '../sync/gitops.ts';

const branches = ['main', 'other'] as const;
const namespaces = ['east', 'west'] as const;
/** One that comes and goes. */
const fleeting = 'fleeting';
/** What both Applications want at times. */
const shared = ['x0', 'x1', 'x2', 'x3', 'x4', 'x5'];
const applications = ['a', 'b'] as const;
/** What one of them wants always, whatever its folder, branch and destination are. */
const keptBy = (name: string) => `kept-by-${name}`;
const PATIENCE_MS = 90_000;
/** For so long nothing is written when all is done, in ms. */
const QUIET_MS = 1_500;

export interface EditStorm {
	readonly world: GitOpsWorld;
	/** In [0, 1). */
	readonly random: () => number;
	/** Edits of each of the two clients. */
	readonly edits: number;
	readonly pushes: number;
}

/** The values of config maps by their names, by folder. */
type Content = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** Runs it until all is quiet. Gives what is wrong. */
export async function editStorm({ world, random, edits, pushes }: EditStorm): Promise<string[]> {
	const { client } = world;
	const faults: string[] = [];
	const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
	const { spec } = await client.get(Application, { name: 'default', namespace: 'default' });
	const repoURL = spec.source?.repoURL ?? '';
	await client.delete(Application, { name: 'default', namespace: 'default' });
	for (const name of [...namespaces, fleeting]) await client.create(Namespace, namespaceOf(name));

	/** What each branch has, and at which commit. */
	const heads = new Map<string, { readonly commit: string; readonly content: Content }>();
	const push = async (branch: string, number: number) => {
		const content: Record<string, Record<string, string>> = {};
		for (const name of applications)
			for (const folder of [`${name}0`, `${name}1`]) {
				const some = shared.filter(() => random() < 0.5);
				content[folder] = { [keptBy(name)]: 'kept', ...Object.fromEntries(some.map((each) => [each, `${number}`])) };
			}
		const files = Object.entries(content).map(([folder, values]) => {
			const documents = Object.entries(values).map(([name, value]) => configMap(name, value));
			return [`${folder}/all.yaml`, documents.join('\n---\n')] as const;
		});
		const toMain = await world.push(Object.fromEntries(files));
		const toOther = branch === 'other' ? await world.git('push', world.url, 'HEAD:other') : undefined;
		const commit = (await world.git('rev-parse', 'HEAD')).output.trim();
		for (const [moved, outcome] of [['main', toMain] as const, ['other', toOther] as const]) {
			if (outcome?.code === 0) heads.set(moved, { commit, content });
			// What is to go where nothing can be is refused.
			else if (outcome && !outcome.output.includes(fleeting)) faults.push(`a push was refused: ${outcome.output}`);
		}
	};
	await push('other', 0);

	const source = (path: string, targetRevision: string, name?: string): ApplicationSource => ({
		repoURL,
		path,
		targetRevision,
		...(name ? { name } : {}),
	});
	const specOf = (sources: readonly ApplicationSource[], namespace: string, listed: boolean): ApplicationSpec => ({
		project: 'default',
		...(listed ? { sources: [...sources] } : { source: sources[0] }),
		destination: { namespace },
		syncPolicy: {
			automated: { prune: true, selfHeal: true },
			retry: { limit: -1, backoff: { duration: '1s', factor: 1 } },
		},
	});
	const anySpec = (name: string) => {
		const any = (label?: string) => source(`${name}${pick([0, 1])}`, pick(branches), label);
		const listed = random() < 0.5;
		return specOf(
			listed && random() < 0.7 ? [any('one'), any('two')] : [any()],
			pick([...namespaces, fleeting]),
			listed,
		);
	};
	for (const name of applications)
		await client.create(Application, {
			apiVersion: 'argoproj.io/v1alpha1',
			kind: 'Application',
			metadata: { name, namespace: 'default' },
			spec: anySpec(name),
		});
	for (const name of applications) await world.status(({ sync }) => sync?.status !== undefined, name);
	const kept = await Promise.all(applications.map((name) => appears(client, keptBy(name))));

	const edit = async (name: string, spec: ApplicationSpec, operation?: Operation) => {
		for (;;) {
			const { operation: _, ...current } = await client.get(Application, { name, namespace: 'default' });
			try {
				await client.update(Application, { ...current, spec, ...(operation ? { operation } : {}) });
				return;
			} catch (error) {
				if (!(error instanceof ApiError && error.reason === 'Conflict')) throw error;
			}
		}
	};
	const editor = async () => {
		for (let count = 0; count < edits; count++) {
			const name = pick(applications);
			await edit(name, anySpec(name), random() < 0.15 ? { sync: { prune: random() < 0.5 } } : undefined);
			await sleep(random() * 300);
		}
	};
	const pusher = async () => {
		for (let count = 1; count <= pushes; count++) {
			await push(pick(branches), count);
			await sleep(random() * 300);
		}
	};
	const churner = async () => {
		for (let count = 0; count < edits / 4; count++) {
			await ifThere(client.create(Namespace, namespaceOf(fleeting)));
			await sleep(random() * 800);
			await ifThere(client.delete(Namespace, { name: fleeting }));
			await sleep(random() * 400);
		}
	};
	await Promise.all([editor(), editor(), pusher(), churner()]);

	const last = {
		a: specOf([source('a0', 'main', 'one'), source('a1', 'other', 'two')], 'east', true),
		b: specOf([source('b0', 'main')], 'west', false),
	};
	// From elsewhere, so that there is something to be done in any case.
	for (const name of applications) {
		const namespace = last[name].destination.namespace === 'east' ? 'west' : 'east';
		await edit(name, { ...last[name], destination: { namespace } });
		await world.status(
			({ sync }) => sync?.status === 'Synced' && sync.comparedTo?.destination?.namespace === namespace,
			name,
		);
	}
	for (const name of applications) await edit(name, last[name]);
	await quiet(client);

	/** `NAMESPACE/NAME VALUE OWNER` of all that is to be there. */
	const wanted = applications.flatMap((name) => {
		const { sources = [], source: only, destination } = last[name];
		const values = Object.assign(
			{},
			...(only ? [only] : sources).map(
				({ path = '', targetRevision = '' }) => heads.get(targetRevision)?.content[path],
			),
		) as Record<string, string>;
		return Object.entries(values).map(
			([each, value]) => `${each.startsWith('kept') ? 'default' : destination.namespace}/${each} ${value} ${name}`,
		);
	});
	const live = await client.list(ConfigMap, {});
	const found = live.items.flatMap((object) => {
		const owner = trackedBy(object as unknown as Dynamic);
		const { namespace, name } = object.metadata;
		return owner ? [`${namespace}/${name} ${object.data?.value} ${owner}`] : [];
	});
	for (const each of wanted) if (!found.includes(each)) faults.push(`${each} is missing`);
	for (const each of found) if (!wanted.includes(each)) faults.push(`${each} is left`);
	for (const object of kept) {
		const now = live.items.find(({ metadata }) => metadata.name === object.metadata.name);
		if (now?.metadata.uid !== object.metadata.uid) faults.push(`${object.metadata.name} was deleted in between`);
	}
	for (const name of applications) {
		const { status } = await client.get(Application, { name, namespace: 'default' });
		const commits = (last[name].sources ?? [last[name].source]).map(
			(each) => heads.get(each?.targetRevision ?? '')?.commit,
		);
		const said = status?.sync?.revisions ?? [status?.sync?.revision];
		const applied = status?.history?.at(-1);
		if (said.join() !== commits.join()) faults.push(`${name} says ${said}, not ${commits}`);
		if ((applied?.revisions ?? [applied?.revision]).join() !== commits.join())
			faults.push(`the history of ${name} ends with ${JSON.stringify(applied)}, not ${commits}`);
		for (const { sources, revisions } of status?.history ?? [])
			if (sources?.length !== revisions?.length) faults.push(`the history of ${name} has revisions without a source`);
		if (status?.sync?.status !== 'Synced' || status.operationState?.phase !== 'Succeeded')
			faults.push(`${name} is ${JSON.stringify({ ...status, resources: undefined, history: undefined })}`);
	}
	return faults;
}

const namespaceOf = (name: string): Namespace => ({
	apiVersion: 'v1',
	kind: 'Namespace',
	metadata: { name },
	spec: {},
});

/** What another one was faster with, or what is on its way out, is as good. */
async function ifThere(done: Promise<unknown>): Promise<void> {
	try {
		await done;
	} catch (error) {
		if (!(error instanceof ApiError && ['NotFound', 'AlreadyExists', 'Conflict'].includes(error.reason))) throw error;
	}
}

const configMap = (name: string, value: string) =>
	JSON.stringify({
		apiVersion: 'v1',
		kind: 'ConfigMap',
		metadata: { name, ...(name.startsWith('kept') ? { namespace: 'default' } : {}) },
		data: { value },
	});

async function appears(client: GitOpsWorld['client'], name: string): Promise<ConfigMap> {
	for (const end = Date.now() + PATIENCE_MS; ; await sleep(50)) {
		const { items } = await client.list(ConfigMap, { namespace: 'default' });
		const found = items.find(({ metadata }) => metadata.name === name);
		if (found) return found;
		if (Date.now() > end)
			throw new Error(`${name} never came; there are ${items.map(({ metadata }) => metadata.name)}`);
	}
}

/** Waits until no Application and no object of one is written any more, and all are in sync. */
async function quiet(client: GitOpsWorld['client']): Promise<void> {
	let before = '';
	let since = Date.now();
	for (const end = Date.now() + PATIENCE_MS; ; await sleep(100)) {
		const { items } = await client.list(Application, {});
		const maps = await client.list(ConfigMap, {});
		const now = JSON.stringify(
			[...items, ...maps.items].map(({ metadata }) => [metadata.uid, metadata.resourceVersion]),
		);
		if (now !== before) [before, since] = [now, Date.now()];
		const synced = items.every(({ status }) => status?.sync?.status === 'Synced');
		if (synced && Date.now() - since >= QUIET_MS) return;
		// What it is then is told by who looks at it.
		if (Date.now() > end && synced) throw new Error(`it never comes to rest: ${now}`);
		if (Date.now() > end) return;
	}
}
