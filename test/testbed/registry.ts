/** A real image registry for tests: Debian's docker-registry on the machine of a test engine, which reaches it on loopback. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { lines } from '../../src/agents/engine/docker/lines.ts';
import type { TestEngine } from './engine.ts';

const PORT = 5000;
/** A registry must serve within this time, in ms. */
const START_TIMEOUT_MS = 30_000;

/** The one account of a registry that asks for credentials. */
export const account = { username: 'ada', password: 'open sesame' } as const;
/** bcrypt, the only hash that the registry takes, of the account's password. */
const HTPASSWD = `${account.username}:$2y$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW\n`;

export interface TestRegistry extends AsyncDisposable {
	/** `HOST:PORT`, as the engine calls it. Engines speak plain HTTP to registries on loopback. */
	readonly host: string;
	/**
	 * Puts a variant of the example image into the registry as `name:tag`, with the label `variant`. The engine keeps no
	 * image of that name. Gives its digest, `sha256:...`.
	 */
	push(reference: string, variant: string): Promise<string>;
	/** Ends it with SIGKILL; what was pushed stays. */
	stop(): Promise<void>;
	/** Starts it again after `stop`. */
	start(): Promise<void>;
}

/** Starts a registry beside the engine. `secured`: it asks for the credentials of `account`. */
export async function startRegistry(
	engine: TestEngine,
	{ secured = false, port = PORT }: { readonly secured?: boolean; readonly port?: number } = {},
): Promise<TestRegistry> {
	const folder = await mkdtemp(join(tmpdir(), 'driftless-registry-'));
	const config = join(folder, 'config.json');
	const passwords = join(folder, 'htpasswd');
	await writeFile(passwords, HTPASSWD);
	// JSON is YAML.
	const settings = {
		version: '0.1',
		log: { level: 'error', accesslog: { disabled: true } },
		storage: { filesystem: { rootdirectory: join(folder, 'data') }, delete: { enabled: true } },
		http: { addr: `:${port}` },
		...(secured ? { auth: { htpasswd: { realm: 'driftless-test', path: passwords } } } : {}),
	};
	await writeFile(config, JSON.stringify(settings));
	const { docker } = engine;
	let running: ChildProcess | undefined;

	const start = async () => {
		const child = spawn(
			// A test run that is cut short calls nobody's `stop`: the kernel then ends the registry with the thread that started it.
			'setpriv',
			[
				...['--pdeathsig', 'KILL', 'nsenter', `--net=/run/netns/${engine.netns}`],
				...['docker-registry', 'serve', config],
			],
			{ stdio: 'ignore' },
		);
		running = child;
		const deadline = Date.now() + START_TIMEOUT_MS;
		while (!(await fetch(`http://${engine.address}:${port}/v2/`).catch(() => undefined))) {
			if (child.exitCode !== null) throw new Error(`docker-registry has ended with ${child.exitCode}`);
			if (Date.now() > deadline) throw new Error(`docker-registry does not serve after ${START_TIMEOUT_MS} ms`);
			await delay(20);
		}
	};
	const stop = async () => {
		const child = running;
		running = undefined;
		if (!child || child.exitCode !== null || child.signalCode) return;
		const ended = once(child, 'exit');
		child.kill('SIGKILL');
		await ended;
	};
	const push = async (reference: string, variant: string) => {
		const [repository = '', tag = 'latest'] = reference.split(':');
		// By another name of the same registry, so that the engine's own names stay what pulls have made them.
		const repo = `localhost:${port}/${repository}`;
		const container = await docker.createContainer({ Image: 'driftless/example:1' });
		await container.commit({ repo, tag, changes: `LABEL variant=${variant}` });
		await container.remove();
		const image = docker.getImage(`${repo}:${tag}`);
		const progress = await image.push({ tag, authconfig: { ...account, serveraddress: `localhost:${port}` } });
		let digest: string | undefined;
		for await (const line of lines(progress)) {
			const { error, aux } = JSON.parse(line) as { error?: string; aux?: { Digest?: string } };
			if (error) throw new Error(`cannot push ${reference}: ${error}`);
			digest = aux?.Digest ?? digest;
		}
		await image.remove();
		if (!digest) throw new Error(`the push of ${reference} gave no digest`);
		return digest;
	};

	try {
		await start();
	} catch (error) {
		await stop();
		await rm(folder, { recursive: true, force: true });
		throw error;
	}
	return {
		host: `127.0.0.1:${port}`,
		push,
		start,
		stop,
		async [Symbol.asyncDispose]() {
			await stop();
			await rm(folder, { recursive: true, force: true });
		},
	};
}
