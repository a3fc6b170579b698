/** Sources and pushes: the embedded repository, the web server on loopback, and the Application controller. */
import { mkdir } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { Answers } from '../../api/index.ts';
import type { Client } from '../../client/index.ts';
import { ApiError, Application, Namespace } from '../../kinds/index.ts';
import type { Log } from '../../log.ts';
import type { Controller } from '../../reconcile/index.ts';
import {
	createAnswers,
	createApplications,
	createPushHandler,
	findCredentials,
	homeNamespace,
	outsideOf,
	refreshAnnotation,
	sourcesOf,
} from '../../sync/index.ts';
import { loadToken, openPushServer, type PushServer } from '../../sync/push/index.ts';
import { createRenderer } from '../../sync/render/index.ts';
import {
	clusterHeads,
	comparable,
	createSources,
	type Embedded,
	grantsFolder,
	openEmbedded,
	type Peers,
	type Repository,
} from '../../sync/source/index.ts';
import { serveWeb } from '../../web/index.ts';

export interface GitOpsOptions {
	readonly dataDir: string;
	readonly address: string;
	readonly httpPort: number;
	/** How long a pusher is shown progress, in ms. */
	readonly pushWaitMs: number;
	/** Between looks at a remote, in ms. */
	readonly pollMs: number | undefined;
	/** Told of each push at the moment at which git has received it, before it is checked. */
	readonly onPush?: () => void;
	/** Patterns of namespaces whose Applications count beside those of the control plane. */
	readonly applicationNamespaces?: readonly string[];
	/** What webhooks must be signed with. */
	readonly webhookSecret: string | undefined;
	/** Of the API, which comes later than what is opened here. */
	readonly client: () => Client | undefined;
	/** The other servers. Default: there are none. */
	readonly peers?: Peers;
	readonly log: Log;
	readonly signal: AbortSignal;
}

export interface GitOps extends AsyncDisposable {
	/** Answers git for other servers. */
	readonly git: PushServer['handle'];
	/** To be run beside those of the control plane. */
	readonly controller: Controller;
	/** What only that controller knows of an application. */
	readonly answers: Answers;
	/** Starts to answer pushes and webhooks. */
	serve(): Promise<{ readonly port: number }>;
}

/** `http://127.0.0.1:7080/git/default.git`, however loopback is written and whatever the port was when it was. */
const embeddedURL = /^http:\/\/(?:127\.0\.0\.1|localhost|\[::1\])(?::\d+)?\/git\/([a-z0-9-]+)(?:\.git)?\/?$/;

/** The name of the embedded repository that a URL means. */
export function embeddedName(url: string): string | undefined {
	return embeddedURL.exec(url)?.[1];
}

export async function openGitOps(options: GitOpsOptions): Promise<GitOps> {
	const { dataDir, log, signal, client, peers } = options;
	await using stack = new AsyncDisposableStack();
	await mkdir(grantsFolder(dataDir), { recursive: true });
	const heads = (name: string, repository: Repository) => clusterHeads(client, name, repository);
	const repository = stack.use(await openEmbedded(dataDir, { heads, peers }));
	const sources = stack.use(
		createSources({
			dataDir,
			log,
			poll: options.pollMs,
			credentials: async (url) => {
				const connection = client();
				return connection && findCredentials(connection, url);
			},
			embedded: (url) => (embeddedName(url) === repository.name ? repository : undefined),
		}),
	);
	const { applications, controller } = createApplications({
		renderer: createRenderer(),
		outside: outsideOf(options.applicationNamespaces),
		openSource: async ({ repoURL, targetRevision }) => sources.open({ url: repoURL, revision: targetRevision }),
	});
	const handler = createPushHandler({
		applications,
		follows: (url, name) => embeddedName(url) === name,
		waitMs: options.pushWaitMs,
		log,
		now: Date.now,
	});
	const push = stack.use(
		await openPushServer({
			repositories: [repository],
			token: await loadToken(dataDir),
			handler: {
				...handler,
				check(push) {
					options.onPush?.();
					return handler.check(push);
				},
			},
			log,
			leads: () => applications.context !== undefined,
			peers,
		}),
	);
	/** The server that leads looks itself; another one asks it to by what all servers see. */
	const refresh = async (urls: readonly string[]) => {
		const connection = client();
		if (applications.context || !connection) return sources.refresh(urls);
		return askForRefresh(connection, urls);
	};
	const life = stack.move();
	return {
		controller,
		answers: createAnswers(applications, peers),
		git: (...args) => push.handle(...args),
		serve: async () =>
			serveWeb({
				host: options.address,
				port: options.httpPort,
				push,
				health: () => troubleOf(client(), repository),
				webhook: { secret: options.webhookSecret, refresh },
				log,
				signal,
			}),
		[Symbol.asyncDispose]: () => life[Symbol.asyncDispose](),
	};
}

/** Milliseconds after which what has not answered is not well. */
const HEALTH_TIME = 5_000;

/** What of that which pushes need does not answer: the API with its store, and git. */
async function troubleOf(client: Client | undefined, { repository }: Embedded): Promise<string | undefined> {
	if (!client) return 'the API is not ready yet';
	const late = delay(HEALTH_TIME, undefined, { ref: false }).then(() => {
		throw new Error(`no answer within ${HEALTH_TIME / 1_000} s`);
	});
	try {
		await Promise.race([Promise.all([client.list(Namespace, { limit: 1 }), repository.refs()]), late]);
		return undefined;
	} catch (error) {
		return error instanceof Error ? error.message : String(error);
	}
}

/** Has the leader look at the repositories of these URLs; gives the applications that follow one. */
async function askForRefresh(client: Client, urls: readonly string[]): Promise<number> {
	const wanted = new Set(urls.map(comparable));
	const { items } = await client.list(Application);
	const following = items.filter((application) =>
		sourcesOf(application).some(({ repoURL }) => wanted.has(comparable(repoURL))),
	);
	const body = { metadata: { annotations: { [refreshAnnotation]: 'normal' } } };
	await Promise.all(following.map(({ metadata }) => client.patch(Application, metadata, { type: 'merge', body })));
	return following.length;
}

export interface DefaultSource {
	readonly repoURL: string;
	readonly targetRevision: string;
	/** Whether somebody has asked for this one: then an application that follows another one turns to it. */
	readonly asked: boolean;
}

/** All that a repository has. */
const wholeSource = { path: '.', directory: { recurse: true } };

/** Makes the application `default` where there is none. The rest of it is the user's. Gives the repository that it follows. */
export async function ensureDefaultApplication(
	client: Client,
	{ repoURL, targetRevision, asked }: DefaultSource,
): Promise<string> {
	const name = { name: 'default', namespace: homeNamespace };
	try {
		const application = await client.get(Application, name);
		const sources = sourcesOf(application);
		const now = sources[0];
		// Several servers of one cluster each have an embedded repository at a port of their own: its URL is theirs in any form.
		const same =
			sources.length === 1 &&
			now &&
			(now.repoURL === repoURL || (embeddedName(now.repoURL) ?? '') === embeddedName(repoURL))
				? now.targetRevision === targetRevision
				: false;
		if (same || !asked) return now?.repoURL ?? repoURL;
		await client.patch(Application, name, {
			type: 'merge',
			body: {
				spec: { source: { ...(sources.length === 1 ? now : wholeSource), repoURL, targetRevision }, sources: null },
			},
		});
	} catch (error) {
		if (!(error instanceof ApiError && error.reason === 'NotFound')) throw error;
		try {
			await client.create(Application, {
				apiVersion: 'argoproj.io/v1alpha1',
				kind: 'Application',
				metadata: name,
				spec: {
					project: 'default',
					source: { ...wholeSource, repoURL, targetRevision },
					destination: { server: 'https://kubernetes.default.svc', namespace: 'default' },
					syncPolicy: { automated: { prune: true, selfHeal: true } },
				},
			});
		} catch (refusal) {
			if (!(refusal instanceof ApiError && refusal.reason === 'AlreadyExists')) throw refusal;
			// Another server that starts at the same moment was first.
			return ensureDefaultApplication(client, { repoURL, targetRevision, asked });
		}
	}
	return repoURL;
}

/** Manifests of Applications that were written for Argo CD name its namespace; it is there, so that they apply as they are. */
const ARGO_NAMESPACE = 'argocd';

export async function ensureArgoNamespace(client: Client): Promise<void> {
	try {
		await client.create(Namespace, {
			apiVersion: 'v1',
			kind: 'Namespace',
			metadata: { name: ARGO_NAMESPACE },
			spec: {},
		});
	} catch (error) {
		if (!(error instanceof ApiError && error.reason === 'AlreadyExists')) throw error;
	}
}
