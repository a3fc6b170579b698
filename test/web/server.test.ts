import { createHmac } from 'node:crypto';
import { request } from 'node:http';
import { connect } from 'node:net';
import test from 'ava';
import type { Log } from '../../src/log.ts';
import { serveWeb, type WebOptions } from '../../src/web/index.ts';

const quiet: Log = { debug() {}, info() {}, warn() {}, error() {} };

async function serve(options: Partial<WebOptions> = {}) {
	const asked: string[][] = [];
	const webhook = {
		refresh(urls: readonly string[]) {
			asked.push([...urls]);
			return urls.some((url) => url.includes('known')) ? 1 : 0;
		},
		...options.webhook,
	};
	const web = await serveWeb({ port: 0, log: quiet, ...options, webhook });
	return { web, asked, url: `http://127.0.0.1:${web.port}`, [Symbol.asyncDispose]: () => web.close() };
}

const post = (url: string, body: unknown, headers: Record<string, string> = {}) =>
	fetch(`${url}/webhook`, { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body), headers });

test('health is told, and a path that is nobody’s is not found', async (t) => {
	let trouble: string | undefined;
	await using server = await serve({ health: async () => trouble });
	t.is(await (await fetch(`${server.url}/healthz`)).text(), 'ok');
	trouble = 'the store is closed';
	const response = await fetch(`${server.url}/healthz`);
	t.is(response.status, 503);
	t.is(await response.text(), 'the store is closed');
	t.is((await fetch(`${server.url}/nothing`)).status, 404);
});

/** A request as a browser or another program sends it, with headers that fetch does not let one set. */
const send = (port: number, method: string, path: string, headers: Record<string, string>) =>
	new Promise<number>((resolve, reject) => {
		const sent = request({ host: '127.0.0.1', port, method, path, headers, setHost: false }, (response) => {
			response.resume();
			resolve(response.statusCode ?? 0);
		});
		sent.on('error', reject).end(method === 'POST' ? '{"url": "https://example.com/known"}' : undefined);
	});

test('a name that was made to mean this machine, and a page of somebody else, reach nothing', async (t) => {
	await using server = await serve();
	const { port } = server.web;
	const table: [string, string, Record<string, string>, number][] = [
		['GET', '/healthz', { host: `127.0.0.1:${port}` }, 200],
		['GET', '/healthz', { host: `localhost:${port}` }, 200],
		['GET', '/healthz', { host: `[::1]:${port}` }, 200],
		['GET', '/healthz', { host: 'evil.example' }, 421],
		['GET', '/healthz', { host: `evil.localhost.example:${port}` }, 421],
		['POST', '/webhook', { host: `rebound.example:${port}` }, 421],
		['POST', '/webhook', { host: `127.0.0.1:${port}` }, 200],
		['POST', '/webhook', { host: `127.0.0.1:${port}`, origin: `http://127.0.0.1:${port}` }, 200],
		['POST', '/webhook', { host: `127.0.0.1:${port}`, origin: 'https://evil.example' }, 403],
		['POST', '/webhook', { host: `127.0.0.1:${port}`, origin: 'null' }, 403],
		['POST', '/webhook', { host: `127.0.0.1:${port}`, 'sec-fetch-site': 'cross-site' }, 403],
		['GET', '/healthz', { host: `127.0.0.1:${port}`, origin: 'https://evil.example' }, 200],
	];
	for (const [method, path, headers, status] of table)
		t.is(await send(port, method, path, headers), status, JSON.stringify([method, path, headers]));
	t.is(server.asked.length, 2);
});

test('nobody fills the log: not with requests that break off, nor with webhooks of what nobody follows', async (t) => {
	const said: string[] = [];
	const say = (level: string) => (fields: object, message: string) =>
		void said.push(`${level} ${message} ${JSON.stringify(fields)}`);
	const log: Log = { debug() {}, info: say('info'), warn: say('warn'), error: say('error') };
	await using server = await serve({ log });
	const broken = (text: string, ends: boolean) =>
		new Promise<void>((resolve) => {
			const socket = connect(server.web.port, '127.0.0.1', () => {
				socket.write(`POST /webhook HTTP/1.1\r\nHost: 127.0.0.1:${server.web.port}\r\n${text}`, () => {
					if (ends) socket.destroySoon();
				});
			});
			socket
				.resume()
				.on('error', () => {})
				.on('close', () => resolve());
		});
	await broken('Content-Length: 100\r\n\r\n{"a', true);
	await broken('Transfer-Encoding: chunked\r\n\r\nzz\r\n', false);
	for (const url of ['https://example.com/other', 'https://example.com/known']) await post(server.url, { url });
	t.deepEqual(said, ['info webhook {"url":"https://example.com/known","sources":1}']);
});

test('a webhook that names more than a repository has names is refused', async (t) => {
	await using server = await serve();
	const many = (count: number) => ({ links: Array.from({ length: count }, (_, at) => ({ url: `https://a/${at}` })) });
	t.is((await post(server.url, many(64))).status, 200);
	t.is((await post(server.url, many(65))).status, 400);
	t.is((await post(server.url, { url: `https://a/${'x'.repeat(2_048)}` })).status, 400);
	t.is(server.asked.length, 1);
	const same = { links: Array.from({ length: 1_000 }, () => ({ url: 'https://a/known' })) };
	t.is((await post(server.url, same)).status, 200);
	t.deepEqual(server.asked[1], ['https://a/known']);
});

test('pages are mounted beside git and webhooks', async (t) => {
	await using server = await serve({
		pages: [
			(context, next) => {
				if (context.path !== '/') return next();
				context.body = 'dashboard';
			},
		],
	});
	t.is(await (await fetch(server.url)).text(), 'dashboard');
	t.is(await (await fetch(`${server.url}/healthz`)).text(), 'ok');
});

test('a taken port is named, with the option that changes it', async (t) => {
	await using server = await serve();
	const { port } = server.web;
	await t.throwsAsync(serveWeb({ port, log: quiet }), {
		message: `port ${port} on 127.0.0.1 is in use by another program: choose another one with --http-port PORT`,
	});
});

test('the server closes with its signal, and frees the port', async (t) => {
	const stop = new AbortController();
	const first = await serveWeb({ port: 0, log: quiet, signal: stop.signal });
	stop.abort();
	await first.close();
	const second = await serveWeb({ port: first.port, log: quiet });
	await second.close();
	t.pass();
});

test('webhooks of the usual forges name the repository that changed', async (t) => {
	await using server = await serve();
	const payloads: [Record<string, string>, unknown][] = [
		[
			{ 'x-github-event': 'push' },
			{
				ref: 'refs/heads/main',
				repository: { clone_url: 'https://github.com/o/known.git', url: 'https://github.com/o/known' },
			},
		],
		[{ 'x-gitlab-event': 'Push Hook' }, { project: { git_http_url: 'https://gitlab.com/o/known.git' } }],
		[{ 'x-gitea-event': 'push' }, { repository: { clone_url: 'https://gitea.io/o/known.git' } }],
		[{ 'x-gogs-event': 'push' }, { repository: { clone_url: 'https://gogs.io/o/known.git' } }],
		[{ 'x-event-key': 'repo:push' }, { repository: { links: { html: { href: 'https://bitbucket.org/o/known' } } } }],
		[
			{ 'x-event-key': 'repo:refs_changed' },
			{ repository: { links: { clone: [{ href: 'https://stash/scm/o/known.git' }] } } },
		],
		[{}, { url: 'https://example.com/known' }],
	];
	for (const [headers, body] of payloads) {
		const response = await post(server.url, body, headers);
		t.is(response.status, 200, JSON.stringify(headers));
		t.regex(await response.text(), /1 sources look now/, JSON.stringify(headers));
	}
	t.is(server.asked.length, payloads.length);
	t.deepEqual(server.asked[0], ['https://github.com/o/known.git', 'https://github.com/o/known']);
	const form = `payload=${encodeURIComponent(JSON.stringify({ repository: { clone_url: 'https://x/known' } }))}`;
	const answer = await post(server.url, form, {
		'content-type': 'application/x-www-form-urlencoded',
		'x-github-event': 'push',
	});
	t.is(answer.status, 200);
});

test('events that move nothing, bodies that say nothing, and repositories nobody follows do no harm', async (t) => {
	await using server = await serve();
	t.regex(await (await post(server.url, { zen: 'x' }, { 'x-github-event': 'ping' })).text(), /nothing to do/);
	t.is((await post(server.url, 'not json')).status, 400);
	t.is((await post(server.url, { hello: 1 })).status, 400);
	t.is(server.asked.length, 0);
	t.regex(await (await post(server.url, { url: 'https://x/other' })).text(), /no application follows/);
	t.is((await post(server.url, 'x'.repeat(5 * 1024 * 1024))).status, 413);
	t.is((await fetch(`${server.url}/webhook`)).status, 405);
	t.is((await fetch(`${server.url}/healthz`)).status, 200);
});

test('with a secret, only who knows it is heard', async (t) => {
	await using server = await serve({ webhook: { secret: 'hush', refresh: () => 1 } });
	const body = JSON.stringify({ repository: { clone_url: 'https://x/known' } });
	const sign = (secret: string) => createHmac('sha256', secret).update(body).digest('hex');
	const status = async (headers: Record<string, string>) => (await post(server.url, body, headers)).status;
	t.is(await status({}), 401);
	t.is(await status({ 'x-github-event': 'push', 'x-hub-signature-256': `sha256=${sign('other')}` }), 401);
	t.is(await status({ 'x-github-event': 'push', 'x-hub-signature-256': `sha256=${sign('hush')}` }), 200);
	t.is(await status({ 'x-gitea-event': 'push', 'x-gitea-signature': sign('hush') }), 200);
	t.is(await status({ 'x-gitlab-event': 'Push Hook', 'x-gitlab-token': 'wrong' }), 401);
	t.is(await status({ 'x-gitlab-event': 'Push Hook', 'x-gitlab-token': 'hush' }), 200);
	const proxied = { host: 'hooks.example.com', 'x-github-event': 'push' };
	t.is(await send(server.web.port, 'POST', '/webhook', proxied), 401, 'by any name, where it is signed');
	t.is(await send(server.web.port, 'GET', '/healthz', proxied), 421);
});
