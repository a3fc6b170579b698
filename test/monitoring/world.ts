/** A real Prometheus that scrapes what a test says, every second. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const PATIENCE_MS = 90_000;

export interface TestPrometheus extends AsyncDisposable {
	readonly url: string;
	/** What is told to it from now on. */
	tell(text: string): void;
	/** The numbers that a query gives once they are as wanted. */
	until(query: string, wanted: (values: readonly number[]) => boolean): Promise<readonly number[]>;
	/** Ends it. */
	stop(): Promise<void>;
}

/** A port that was free a moment ago: Prometheus does not say which one it has taken. */
async function freePort(): Promise<number> {
	const server = createServer().listen(0, '127.0.0.1');
	await once(server, 'listening');
	const { port } = server.address() as AddressInfo;
	await new Promise((resolve) => server.close(resolve));
	return port;
}

export async function startPrometheus(): Promise<TestPrometheus> {
	await using stack = new AsyncDisposableStack();
	const folder = await mkdtemp(join(tmpdir(), 'driftless-prometheus-'));
	stack.defer(() => rm(folder, { recursive: true, force: true }));
	let told = '';
	const exporter = createServer((_, response) => {
		response.setHeader('content-type', 'text/plain; version=0.0.4');
		response.end(told);
	}).listen(0, '127.0.0.1');
	await once(exporter, 'listening');
	stack.defer(() => {
		exporter.closeAllConnections();
		exporter.close();
	});
	const target = `127.0.0.1:${(exporter.address() as AddressInfo).port}`;
	const config = join(folder, 'prometheus.yml');
	await writeFile(
		config,
		`global: { scrape_interval: 1s }
scrape_configs:
  - job_name: test
    honor_labels: true
    static_configs: [{ targets: ["${target}"] }]
`,
	);
	const port = await freePort();
	const child = spawn(
		'prometheus',
		[
			`--config.file=${config}`,
			`--storage.tsdb.path=${join(folder, 'data')}`,
			`--web.listen-address=127.0.0.1:${port}`,
			'--log.level=warn',
		],
		{ stdio: ['ignore', 'ignore', 'pipe'] },
	);
	let said = '';
	child.stderr.setEncoding('utf8').on('data', (text: string) => {
		said += text;
	});
	const stop = async () => {
		if (child.exitCode !== null || child.signalCode) return;
		const ended = once(child, 'exit');
		child.kill('SIGKILL');
		await ended;
	};
	stack.defer(stop);
	const url = `http://127.0.0.1:${port}`;
	const deadline = Date.now() + PATIENCE_MS;
	for (;;) {
		const ready = await fetch(`${url}/-/ready`).then(
			({ ok }) => ok,
			() => false,
		);
		if (ready) break;
		if (child.exitCode !== null || Date.now() > deadline) throw new Error(`prometheus is not ready: ${said}`);
		await delay(100);
	}
	const life = stack.move();
	return {
		url,
		stop,
		tell(text) {
			told = text;
		},
		async until(query, wanted) {
			const end = Date.now() + PATIENCE_MS;
			for (;;) {
				const answer = await fetch(`${url}/api/v1/query?${new URLSearchParams({ query })}`);
				const body = (await answer.json()) as { data?: { result?: { value: [number, string] }[] } };
				const values = (body.data?.result ?? []).map(({ value }) => Number(value[1]));
				if (wanted(values)) return values;
				if (Date.now() > end) throw new Error(`${query}: last seen ${JSON.stringify(body)}`);
				await delay(200);
			}
		},
		[Symbol.asyncDispose]: () => life[Symbol.asyncDispose](),
	};
}
