/**
 * How an agent is known to the API: by a certificate of its node, which it asks for with the kubeconfig that it was given, and
 * renews with itself. The one that was given is needed once; the node's own has the rights of the node and no more.
 */
import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { refuseOtherNode, requestNodeCertificate } from '../../agents/index.ts';
import { isNearEnd, writeKubeconfig } from '../../api/index.ts';
import {
	type Client,
	type Clock,
	describe,
	faults,
	type KubeConfig,
	loadKubeconfig,
	overHttp,
	pause,
	systemClock,
} from '../../client/index.ts';
import { ApiError } from '../../kinds/index.ts';
import type { Log } from '../../log.ts';
import { UserError } from '../user-error.ts';

/** How often it is looked whether the certificate comes close to its end, in ms; after a failure; and while the API is away. */
const LOOK_MS = 3_600_000;
const RETRY_MS = 60_000;
const AWAY_MS = 5_000;

export interface NodeCredentialsOptions {
	/** The kubeconfig that was given; not needed where the node has one of its own. */
	readonly given?: string;
	/** Of the node. */
	readonly dataDir: string;
	readonly nodeName: string;
	/** Milliseconds since the epoch. */
	readonly now?: () => number;
	readonly say: (line: string) => void;
	readonly log: Log;
	readonly signal: AbortSignal;
}

export interface NodeCredentials {
	/** The node's own kubeconfig. */
	readonly path: string;
	readonly config: KubeConfig & { readonly ca: string };
}

/** Asks for a certificate where the node has none that is good. Throws UserError, saying what to do, where it cannot have one. */
export async function nodeCredentials(options: NodeCredentialsOptions): Promise<NodeCredentials> {
	const { given, dataDir, nodeName, now = Date.now } = options;
	const path = join(dataDir, 'kubeconfig');
	// Before anything is written there: the certificate of the other node would be gone.
	await refuseOtherNode(dataDir, nodeName).catch((error: Error) => {
		throw new UserError(error.message);
	});
	// What is not there, or cannot be read, is asked for anew.
	const own = await loadKubeconfig(path).catch(() => undefined);
	const config = given === undefined ? undefined : await loadGiven(given);
	const { server, ca, serverName } = config ?? own ?? {};
	if (!server)
		throw new UserError('an agent needs the kubeconfig of its control plane: driftless --kubeconfig FILE agent');
	if (!ca)
		throw new UserError(`${given ?? path} has no certificate-authority: the agent needs it to know who may call it`);
	const cluster = { path, server, authority: ca, serverName, user: `system:node:${nodeName}` };
	if (own?.cert && own.key && isGood(own.cert, ca, nodeName, now())) {
		const client = { cert: own.cert, key: own.key };
		if (config) await writeKubeconfig({ ...cluster, client });
	} else if (config) {
		await writeKubeconfig({ ...cluster, client: await joinCluster(config, options) });
	} else
		throw new UserError(
			`the certificate of the node in ${path} is not good for the node ${nodeName}, or has ended: start the agent once with the kubeconfig of an administrator, driftless --kubeconfig FILE agent`,
		);
	return { path, config: { ...(await loadKubeconfig(path)), ca } };
}

async function loadGiven(path: string): Promise<KubeConfig> {
	try {
		return await loadKubeconfig(path);
	} catch (error) {
		throw new UserError((error as Error).message);
	}
}

function isGood(cert: string, ca: string, node: string, now: number): boolean {
	try {
		const certificate = new X509Certificate(cert);
		return (
			certificate.subject.split('\n').includes(`CN=system:node:${node}`) &&
			certificate.verify(new X509Certificate(ca).publicKey) &&
			Date.parse(certificate.validTo) > now
		);
	} catch {
		return false;
	}
}

/** Waits while the API is away. */
async function joinCluster(
	config: KubeConfig,
	{ nodeName, given, say, signal }: Omit<NodeCredentialsOptions, 'dataDir'>,
) {
	await using client = await overHttp(config, 'driftless-agent');
	for (let told = false; ; told = true) {
		try {
			return await requestNodeCertificate(client, nodeName, signal);
		} catch (error) {
			if (signal.aborted) throw error;
			const code = error instanceof ApiError ? error.code : 0;
			if (code === 401 || code === 403)
				throw new UserError(
					`${given} does not let this machine be the node ${nodeName}: ${describe(error)}; give the kubeconfig of an administrator`,
				);
			if (code < 500) throw new UserError(describe(error));
			if (!told) say(`${describe(error)}; it is tried again until it can`);
			await pause(AWAY_MS, signal);
		}
	}
}

/**
 * Renews the certificate of the kubeconfig while the signal lasts, one that has ended with the kubeconfig that was given. The client
 * is one that follows that file.
 */
export async function renewNodeCredentials(
	client: Client,
	path: string,
	options: Omit<NodeCredentialsOptions, 'dataDir'>,
	clock: Clock = systemClock,
): Promise<void> {
	const { given, nodeName, now = Date.now, log, signal } = options;
	const renew = async () => {
		try {
			return await requestNodeCertificate(client, nodeName, signal);
		} catch (error) {
			if (!(error instanceof ApiError) || error.code !== 401) throw error;
			if (given !== undefined) return joinCluster(await loadGiven(given), options);
			throw new UserError(
				'it has ended; start the agent once with the kubeconfig of an administrator, driftless --kubeconfig FILE agent',
			);
		}
	};
	const known = faults(log);
	for (let wait = 0; !signal.aborted; await pause(wait, signal, clock)) {
		wait = LOOK_MS;
		try {
			const { server, ca = '', cert = '', serverName } = await loadKubeconfig(path);
			if (isNearEnd(new X509Certificate(cert), now())) {
				const renewed = await renew();
				const user = `system:node:${nodeName}`;
				await writeKubeconfig({ path, server, authority: ca, serverName, user, client: renewed });
				log.info({ node: nodeName }, 'the certificate of the node was renewed');
			}
			known.healed('certificate', 'the certificate of the node can be renewed again');
		} catch (error) {
			if (signal.aborted) return;
			known.failed('certificate', error, 'the certificate of the node cannot be renewed; trying on');
			wait = RETRY_MS;
		}
	}
}
