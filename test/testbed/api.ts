/** A whole API server for tests: store, API and HTTPS on a free port, in a directory of its own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, request as httpsRequest, type RequestOptions } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
	type ApiOptions,
	type Caller,
	type OpenApi,
	openApi,
	openPki,
	type Pki,
	type Served,
	type ServeOptions,
	serveApi,
	writeKubeconfig,
} from '../../src/api/index.ts';
import { loadRegistry } from '../../src/kinds/index.ts';
import { openStore, type Store } from '../../src/store/index.ts';
import { silentLog } from './silent-log.ts';

export const admin: Caller = { name: 'kubernetes-admin', groups: ['system:masters'], userAgent: 'test/1.0' };

export interface OpenTestApi extends AsyncDisposable {
	readonly dataDir: string;
	readonly store: Store;
	readonly api: OpenApi;
}

/** The API in process; on SQLite where no store is given. A given store is closed with it. */
export async function openTestApi(options: Partial<ApiOptions> = {}): Promise<OpenTestApi> {
	const dataDir = await mkdtemp(join(tmpdir(), 'driftless-api-'));
	const store = options.store ?? (await openStore('sqlite', dataDir));
	const api = await openApi({ registry: loadRegistry(), log: silentLog, ...options, store });
	return {
		dataDir,
		store,
		api,
		async [Symbol.asyncDispose]() {
			await api[Symbol.asyncDispose]();
			await store[Symbol.asyncDispose]();
			await rm(dataDir, { recursive: true, force: true });
		},
	};
}

export interface Answer {
	readonly code: number;
	readonly headers: NodeJS.Dict<string | string[]>;
	readonly text: string;
	/** The body as JSON. */
	// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
	readonly body: any;
}

export interface Ask {
	readonly method?: string;
	readonly headers?: Readonly<Record<string, string>>;
	/** Text and bytes are sent as they are, all else as JSON. */
	readonly body?: unknown;
	/** Default: the administrator's certificate. */
	readonly as?: 'admin' | 'nobody' | { readonly cert: string; readonly key: string };
}

export interface TestServer extends OpenTestApi {
	readonly pki: Pki;
	readonly served: Served;
	readonly url: string;
	readonly kubeconfig: string;
	readonly tokens: string;
	/** One request over HTTPS. */
	ask(path: string, options?: Ask): Promise<Answer>;
	/** The options of an https.request that the administrator sends. */
	readonly tls: Pick<RequestOptions, 'ca' | 'cert' | 'key' | 'host' | 'port'>;
}

/** The API over HTTPS, with a kubeconfig for its administrator. */
export async function serveTestApi(
	options: Partial<ApiOptions> = {},
	how: Partial<ServeOptions> = {},
): Promise<TestServer> {
	const opened = await openTestApi(options);
	const { api, dataDir } = opened;
	const pki = await openPki({ dataDir });
	const tokens = join(dataDir, 'tokens');
	const log = options.log ?? silentLog;
	const served = await serveApi({ api, pki, address: '127.0.0.1', port: 0, log, tokens, ...how });
	const url = `https://127.0.0.1:${served.port}`;
	const kubeconfig = join(dataDir, 'kubeconfig');
	await writeKubeconfig({ path: kubeconfig, server: url, authority: pki.authority.cert, client: pki.admin });
	const tls = { ca: pki.authority.cert, ...pki.admin, host: '127.0.0.1', port: served.port };
	const agent = new Agent({ keepAlive: true });
	return {
		...opened,
		pki,
		served,
		url,
		kubeconfig,
		tokens,
		tls,
		ask: (path, ask = {}) => askOver(path, ask, tls, agent),
		async [Symbol.asyncDispose]() {
			agent.destroy();
			await served.close();
			await opened[Symbol.asyncDispose]();
		},
	};
}

function askOver(path: string, ask: Ask, tls: TestServer['tls'], agent: Agent): Promise<Answer> {
	const { method = ask.body === undefined ? 'GET' : 'POST', headers = {}, body, as = 'admin' } = ask;
	const payload =
		body === undefined || typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body);
	const pair = as === 'admin' ? {} : as === 'nobody' ? { cert: undefined, key: undefined } : as;
	return new Promise((resolve, reject) => {
		const request = httpsRequest({
			...tls,
			...pair,
			path,
			method,
			headers: {
				...(payload !== undefined && {
					'content-type': 'application/json',
					'content-length': String(Buffer.byteLength(payload)),
				}),
				...headers,
			},
			agent: as === 'admin' ? agent : false,
		});
		request.on('error', reject);
		request.on('response', (response) => {
			let text = '';
			response.setEncoding('utf8').on('data', (chunk: string) => {
				text += chunk;
			});
			response.on('error', reject);
			response.on('end', () =>
				resolve({
					code: response.statusCode ?? 0,
					headers: response.headers,
					text,
					get body() {
						return JSON.parse(text);
					},
				}),
			);
		});
		request.end(payload);
	});
}
