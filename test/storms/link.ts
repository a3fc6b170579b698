/** One server's way to etcd, with the faults of a network: connections that are cut, answers that are lost, bytes that wait. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface Link extends AsyncDisposable {
	/** `HOST:PORT` of its near end. */
	readonly endpoint: string;
	/** Cuts every connection. */
	cut(): void;
	/** The next answer is lost with its connection: what it answers has been done. */
	deafen(): void;
	/** Holds back what comes from etcd, until `mend`. */
	lag(): void;
	/** Refuses new connections, until `mend`. */
	refuse(): void;
	mend(): void;
}

/** A link to `target`, `HOST:PORT`. */
export async function openLink(target: string): Promise<Link> {
	const [host = '', port = ''] = target.split(':');
	const open = new Map<Socket, Socket>();
	let refusing = false;
	let deaf = false;
	let lagging = false;
	const server = createServer((near) => {
		if (refusing) {
			near.destroy();
			return;
		}
		const far = connect(Number(port), host);
		open.set(near, far);
		for (const socket of [near, far]) {
			socket.on('error', () => undefined);
			socket.on('close', () => {
				open.delete(near);
				near.destroy();
				far.destroy();
			});
		}
		near.pipe(far);
		far.on('data', (chunk) => {
			if (deaf) {
				deaf = false;
				near.resetAndDestroy();
			} else near.write(chunk);
		});
		if (lagging) far.pause();
	});
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	const cut = () => {
		for (const near of open.keys()) near.resetAndDestroy();
	};
	return {
		endpoint: `127.0.0.1:${(server.address() as AddressInfo).port}`,
		cut,
		deafen() {
			deaf = true;
		},
		lag() {
			lagging = true;
			for (const far of open.values()) far.pause();
		},
		refuse() {
			refusing = true;
		},
		mend() {
			refusing = lagging = deaf = false;
			for (const far of open.values()) far.resume();
		},
		async [Symbol.asyncDispose]() {
			const closed = once(server, 'close');
			server.close();
			cut();
			await closed;
		},
	};
}
