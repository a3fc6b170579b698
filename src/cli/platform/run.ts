/** Composes the processes: `up` is control plane, GitOps and node in one, `server` is it without the node. */
import { readFileSync, statSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { EngineKind } from '../../agents/index.ts';
import { writeKubeconfig } from '../../api/index.ts';
import type { Client } from '../../client/index.ts';
import type { SchedulingStrategy } from '../../kinds/index.ts';
import type { EtcdAccess } from '../../store/index.ts';
import { folderURL, grant, localPath, withoutCredentials } from '../../sync/source/index.ts';
import { dataDirectory, kubeletDirectory, takeDataDirectory, writeRunning } from '../data-dir.ts';
import type { NodeFlags } from '../node-options.ts';
import type { Component } from '../options.ts';
import { UserError } from '../user-error.ts';
import { ownAddress, seenByNone } from './addresses.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { embeddedName, ensureArgoNamespace, ensureDefaultApplication, openGitOps } from './gitops.ts';
import { createLog, type LogOptions } from './log.ts';
import { giveMemoryBack } from './memory.ts';
import { createPeers } from './peers.ts';
import { starting } from './starting.ts';

export interface PlatformOptions extends NodeFlags {
	readonly dataDir?: string;
	readonly store: string;
	readonly etcdCafile?: string;
	readonly etcdCertfile?: string;
	readonly etcdKeyfile?: string;
	readonly etcdUser?: string;
	readonly etcdPasswordFile?: string;
	readonly apiAddress: string;
	readonly apiPort: number;
	readonly prometheus?: string;
	readonly goawayChance?: number;
	readonly httpAddress: string;
	readonly httpPort: number;
	readonly advertiseAddress?: string;
	readonly podNetwork: string;
	readonly nodeCidrMaskSize: number;
	readonly serviceNetwork: string;
	readonly strategy: SchedulingStrategy;
	readonly disable: readonly Component[];
	readonly watch?: string;
	readonly repo?: string;
	readonly revision: string;
	readonly applicationNamespaces?: readonly string[];
	readonly pushWait: number;
	readonly poll?: number;
	readonly webhookSecretFile?: string;
	readonly logLevel: LogOptions['level'];
	readonly logFormat: LogOptions['format'];
}

/** How long a stop may take before the process ends anyway, in ms. */
const STOP_MS = 10_000;

export interface Lifetime {
	readonly signal: AbortSignal;
	/** What the process says to people. */
	readonly say: (line: string) => void;
}

/** What becomes of pods when the process stops. */
const AFTERWARDS = { docker: 'containers keep running', simulated: 'what is simulated ends with it' } as const;

/** Aborts on SIGINT and SIGTERM. A second one ends the process at once. */
export function untilStopped(engine: EngineKind = 'docker'): Lifetime {
	const stop = new AbortController();
	const say = (line: string) => process.stdout.write(`${line}\n`);
	// Whoever reads what it prints may go away (`up | head`): that ends no platform.
	process.stdout.removeAllListeners('error').on('error', () => {});
	process.stderr.removeAllListeners('error').on('error', () => {});
	const stopping = () => {
		if (stop.signal.aborted) process.exit(1);
		say(`stopping; ${AFTERWARDS[engine]}`);
		stop.abort();
		setTimeout(() => process.exit(0), STOP_MS).unref();
	};
	process.on('SIGINT', stopping);
	process.on('SIGTERM', stopping);
	return { signal: stop.signal, say };
}

export async function runPlatform(
	options: PlatformOptions,
	withNode: boolean,
	{ signal: stopped, say }: Lifetime,
): Promise<void> {
	const dataDir = dataDirectory(options.dataDir);
	if (options.watch && options.repo)
		throw new UserError('--watch and --repo are two sources for the application default; give one of them');
	if (options.watch) checkFolder(options.watch);
	using _lock = takeDataDirectory(dataDir);
	// What was started ends as well when the rest cannot start.
	const end = new AbortController();
	using _end = { [Symbol.dispose]: () => end.abort() };
	const signal = AbortSignal.any([stopped, end.signal]);
	using _memory = giveMemoryBack();
	const log = createLog({ level: options.logLevel, format: options.logFormat });
	process.on('unhandledRejection', (error) =>
		log.error({ error: error instanceof Error ? error.stack : String(error) }, 'a defect: a rejection nobody handled'),
	);
	const address = options.advertiseAddress ?? ownAddress();

	let client: Client | undefined;
	await using gitops = await openGitOps({
		webhookSecret: options.webhookSecretFile && readSecret(options.webhookSecretFile),
		client: () => client,
		peers: createPeers(() => client, dataDir),
		dataDir,
		address: options.httpAddress,
		httpPort: options.httpPort,
		pushWaitMs: options.pushWait,
		pollMs: options.poll,
		applicationNamespaces: options.applicationNamespaces,
		log,
		signal,
	});
	await using plane = await startControlPlane({
		...options,
		etcd: etcdAccess(options),
		dataDir,
		advertise: address,
		log,
		signal,
		more: [gitops.controller],
		answers: gitops.answers,
		git: gitops.git,
	});
	client = plane.client;
	const web = await starting(() => gitops.serve(), '--http-port or --http-address');
	const embedded = `http://127.0.0.1:${web.port}/git/default.git`;
	const asked = options.watch ? folderURL(options.watch) : options.repo;
	if (asked !== undefined) await grant(dataDir, localPath(asked));
	await ensureArgoNamespace(plane.client);
	const source = await ensureDefaultApplication(plane.client, {
		repoURL: asked ?? embedded,
		targetRevision: options.repo ? options.revision : options.watch ? 'HEAD' : 'main',
		asked: asked !== undefined,
	});
	writeRunning(dataDir, {
		pid: process.pid,
		api: `https://127.0.0.1:${plane.port}`,
		http: `http://127.0.0.1:${web.port}`,
	});

	const running = plane.run();
	const nodeName = options.nodeName ?? hostname().toLowerCase();
	const startNode = async () => {
		const kubeconfig = await nodeKubeconfig(plane, dataDir, nodeName);
		// Loaded when the control plane answers, and by servers without a node never.
		const { runNode } = await import('./node.ts');
		await runNode({
			client: plane.client,
			cache: plane.cache,
			kubeconfig,
			dataDir,
			kubeletDir: kubeletDirectory(options.kubeletDir, dataDir),
			nodeName,
			address,
			agentPort: options.agentPort,
			clientCa: plane.pki.authority.cert,
			podNetwork: options.podNetwork,
			serviceNetwork: options.serviceNetwork,
			labels: Object.fromEntries(options.label),
			limits: options,
			engine: options.engine,
			dockerHost: process.env.DOCKER_HOST,
			say,
			log,
			signal,
		});
	};
	const node = withNode ? startNode() : Promise.resolve();
	for (const line of readyText(dataDir, source, options.engine)) say(line);
	const unseen = seenByNone(options.store, address);
	if (unseen) say(`  ! ${unseen}`);
	try {
		await Promise.all([running, node]);
	} finally {
		end.abort();
		await Promise.allSettled([running, node]);
	}
}

/** With the rights of the node and no more. */
async function nodeKubeconfig(plane: ControlPlane, dataDir: string, nodeName: string): Promise<string> {
	const { pki, port, certificates } = plane;
	const path = join(dataDir, 'node.kubeconfig');
	const server = `https://127.0.0.1:${port}`;
	await certificates.follow(async () =>
		writeKubeconfig({ path, server, authority: pki.authority.cert, client: await pki.node(nodeName) }),
	);
	return path;
}

/** The password is no option: every user of the machine may read those. */
function etcdAccess(options: PlatformOptions, env: NodeJS.ProcessEnv = process.env): EtcdAccess {
	const password = env.DRIFTLESS_ETCD_PASSWORD || undefined;
	// It is nothing for the programs that are started.
	delete env.DRIFTLESS_ETCD_PASSWORD;
	return {
		caFile: options.etcdCafile,
		certFile: options.etcdCertfile,
		keyFile: options.etcdKeyfile,
		username: options.etcdUser,
		passwordFile: options.etcdPasswordFile,
		password,
	};
}

function checkFolder(path: string): void {
	const found = statSync(path, { throwIfNoEntry: false });
	if (!found) throw new UserError(`--watch ${path}: there is no such folder`);
	if (!found.isDirectory()) throw new UserError(`--watch ${path}: that is no folder`);
}

function readSecret(path: string): string {
	try {
		const secret = readFileSync(path, 'utf8').trim();
		if (secret) return secret;
	} catch (error) {
		throw new UserError(`the webhook secret cannot be read: ${(error as Error).message}`);
	}
	throw new UserError(`the webhook secret file ${path} is empty`);
}

/** What to type next. */
function readyText(dataDir: string, source: string, engine: EngineKind): string[] {
	const command = process.env.DRIFTLESS_COMMAND ?? 'driftless';
	const flag = dataDir === dataDirectory(undefined, {}) ? '' : ` --data-dir ${dataDir}`;
	return [
		'driftless is ready',
		`  kubectl    export KUBECONFIG=${dataDir}/kubeconfig; kubectl get nodes`,
		embeddedName(source)
			? `  push       git push "$(${command}${flag} remote)" HEAD:main`
			: `  source     ${withoutCredentials(source)}`,
		`  look       ${command}${flag} status --watch`,
		`  stop       Ctrl-C; ${AFTERWARDS[engine]}`,
	];
}
