/** GitOps as `up` composes it, on a real API and store, without nodes; and a real git clone that pushes to it. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { type Answers, type Api, openApi } from '../../src/api/index.ts';
import { ensureDefaultApplication, openGitOps } from '../../src/cli/platform/gitops.ts';
import { type Client, createCache, inProcess } from '../../src/client/index.ts';
import { Application, type ApplicationStatus, loadRegistry, type OpenRegistry } from '../../src/kinds/index.ts';
import { clusterControllers, runControllers } from '../../src/reconcile/index.ts';
import { openStore } from '../../src/store/index.ts';
import { loadToken } from '../../src/sync/push/index.ts';
import { grant, localPath } from '../../src/sync/source/index.ts';
import { type Outcome, runGit } from '../testbed/git.ts';
import { silentLog } from '../testbed/silent-log.ts';

export interface GitOpsWorld {
	readonly client: Client;
	/** Writes files (undefined removes one), commits and pushes to main. */
	push(files: Readonly<Record<string, string | undefined>>, ...args: string[]): Promise<Outcome>;
	/** Any git command in the clone. */
	git(...args: string[]): Promise<Outcome>;
	/** The status of the application `default` once it meets the condition. */
	status(
		condition: (status: ApplicationStatus) => boolean,
		name?: string,
		namespace?: string,
	): Promise<ApplicationStatus>;
	readonly clone: string;
	readonly api: Api;
	/** Of the API: a test may add kinds. */
	readonly registry: OpenRegistry;
	/** What the leader answers beside the API. */
	readonly answers: Answers;
	readonly dataDir: string;
	readonly url: string;
}

export interface GitOpsTestOptions {
	/** Default: the embedded repository. */
	readonly source?: string;
	readonly pushWaitMs?: number;
	/** Between looks at a remote. */
	readonly pollMs?: number;
	readonly applicationNamespaces?: readonly string[];
}

export async function startGitOps(
	t: Pick<ExecutionContext, 'teardown'>,
	{ source, pushWaitMs = 2_000, pollMs = 1_000, applicationNamespaces }: GitOpsTestOptions = {},
): Promise<GitOpsWorld> {
	const directory = await mkdtemp(join(tmpdir(), 'driftless-gitops-'));
	const dataDir = join(directory, 'data');
	await mkdir(dataDir);
	const clone = join(directory, 'clone');
	const stack = new AsyncDisposableStack();
	t.teardown(async () => {
		await stack.disposeAsync();
		await rm(directory, { recursive: true, force: true });
	});
	const stop = new AbortController();
	const { signal } = stop;
	const store = stack.use(await openStore('sqlite', dataDir));
	const registry = loadRegistry();
	const api = stack.use(await openApi({ store, registry, log: silentLog }));
	const client = inProcess(api, { name: 'admin', groups: ['system:masters'], userAgent: 'test' });
	const cache = stack.use(createCache(client, { signal, log: silentLog }));
	const gitops = stack.use(
		await openGitOps({
			dataDir,
			address: '127.0.0.1',
			httpPort: 0,
			pushWaitMs,
			pollMs,
			applicationNamespaces,
			webhookSecret: undefined,
			client: () => client,
			log: silentLog,
			signal,
		}),
	);
	const running = runControllers({
		client,
		cache,
		// Tests play the load balancer themselves.
		controllers: [...clusterControllers({ loadBalancer: { enabled: false } }), gitops.controller],
		log: silentLog,
		now: Date.now,
		signal,
	});
	stack.defer(async () => {
		stop.abort();
		await running;
	});
	const { port } = await gitops.serve();
	if (source) await grant(dataDir, localPath(source));
	await ensureDefaultApplication(client, {
		repoURL: source ?? `http://127.0.0.1:${port}/git/default.git`,
		targetRevision: source ? 'HEAD' : 'main',
		asked: true,
	});
	const url = `http://git:${await loadToken(dataDir)}@127.0.0.1:${port}/git/default.git`;
	await mkdir(clone);
	await runGit(clone, ['init', '-q', '-b', 'main']);

	const git = (...args: string[]) => runGit(clone, args);
	const status: GitOpsWorld['status'] = async (condition, name = 'default', namespace = 'default') => {
		const timeout = AbortSignal.any([signal, AbortSignal.timeout(90_000)]);
		let last: ApplicationStatus | undefined;
		for await (const events of client.watch(Application, { namespace, signal: timeout })) {
			for (const event of events) {
				if (event.type === 'BOOKMARK' || event.object.metadata.name !== name) continue;
				last = event.object.status;
				if (last && condition(last)) return last;
			}
		}
		throw new Error(`the status never came to meet the condition; it is ${JSON.stringify(last, null, 1)}`);
	};
	return {
		client,
		clone,
		api,
		registry,
		answers: gitops.answers,
		dataDir,
		url,
		git,
		status,
		async push(files, ...args) {
			for (const [path, content] of Object.entries(files)) {
				const at = join(clone, path);
				await mkdir(dirname(at), { recursive: true });
				if (content === undefined) await rm(at);
				else await writeFile(at, content);
			}
			await git('add', '-A');
			await git('commit', '-q', '--allow-empty', '-m', 'change');
			return git('push', ...args, url, 'HEAD:main');
		},
	};
}
