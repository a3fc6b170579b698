/** A TCP proxy whose connections a test can cut, as a network does: without a word, in the middle of anything. */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { ExecutionContext } from 'ava';

export interface CuttingProxy {
	readonly port: number;
	/** Destroys every connection that there is. */
	cut(): void;
	/** Whether new connections are refused. */
	refuse(refusing: boolean): void;
	/** New connections are taken, and nothing comes of them. */
	hold(): void;
	/** How many connections there were. */
	readonly connections: number;
	/** How many bytes went from the server to its clients. */
	readonly passed: number;
}

export async function cuttingProxy(t: ExecutionContext, target: number): Promise<CuttingProxy> {
	const open = new Set<Socket>();
	let refusing = false;
	let holding = false;
	let connections = 0;
	let passed = 0;
	const server = createServer((client) => {
		if (refusing) {
			client.destroy();
			return;
		}
		connections++;
		if (holding) {
			open.add(client);
			client.on('error', () => undefined);
			return;
		}
		const upstream = connect(target, '127.0.0.1');
		for (const socket of [client, upstream]) {
			open.add(socket);
			socket.on('error', () => undefined);
			socket.on('close', () => {
				open.delete(socket);
				client.destroy();
				upstream.destroy();
			});
		}
		upstream.on('data', (chunk) => {
			passed += chunk.length;
		});
		client.pipe(upstream);
		upstream.pipe(client);
	});
	await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
	const cut = () => {
		for (const socket of open) socket.resetAndDestroy();
	};
	t.teardown(async () => {
		cut();
		await new Promise((resolve) => server.close(resolve));
	});
	return {
		port: (server.address() as AddressInfo).port,
		cut,
		refuse: (value) => {
			refusing = value;
		},
		hold: () => {
			holding = true;
		},
		get connections() {
			return connections;
		},
		get passed() {
			return passed;
		},
	};
}
