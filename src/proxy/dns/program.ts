/**
 * Cluster DNS as a process of its own, so that names are answered whatever becomes of the process that starts it. Its
 * argument is the file of its configuration; it ends when it is told to, or when that file has gone.
 */
import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { pino } from 'pino';
import { createCache, followKubeconfig, overHttp } from '../../client/index.ts';
import { runClusterDns } from './cluster-dns.ts';
import { type DnsConfig, type Hello, socketName } from './process.ts';
import { remembered } from './remembered.ts';

/** How often it is looked whether the configuration is still there, in ms. */
const LOOK_MS = 10_000;

const [, , file = ''] = process.argv;
const config = JSON.parse(await readFile(file, 'utf8')) as DnsConfig;
const log = pino({ level: 'info', base: { part: 'dns' } });
const stop = new AbortController();
const { signal } = stop;
const end = () => stop.abort();
process.on('SIGTERM', end);
process.on('SIGINT', end);
// The terminal of whoever started it is not its own.
process.on('SIGHUP', () => {});

const watchers = new Set<Socket>();
let serving = false;
const hello = () => `${JSON.stringify({ id: config.id, pid: process.pid, serving } satisfies Hello)}\n`;
const control = createServer((socket) => {
	watchers.add(socket);
	socket.on('error', () => socket.destroy());
	socket.on('close', () => watchers.delete(socket));
	socket.resume();
	socket.write(hello());
});
const socket = socketName(config.id, process.pid);
await rm(socket, { force: true });
control.listen(socket);
setInterval(() => {
	if (!existsSync(file)) end();
}, LOOK_MS).unref();

const client = await overHttp(await followKubeconfig(config.kubeconfig), 'driftless-dns');
const cache = createCache(client, { signal, log });
using known = remembered(cache, config.known, log);
await runClusterDns(
	{
		...config,
		informers: known,
		log,
		onServing(now) {
			serving = now;
			for (const socket of watchers) socket.write(hello());
		},
	},
	signal,
);
// Nobody takes it over any more. Who watches it sees its end when nothing more is written.
control.close();
await cache[Symbol.asyncDispose]();
await client[Symbol.asyncDispose]();
known[Symbol.dispose]();
process.exit(0);
