/** Large answers: made no further ahead than the client reads. */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import test from 'ava';
import { sendPieces } from '../../src/api/http/respond.ts';
import { limits } from '../../src/api/limits.ts';

test('a large answer that its client takes too long to read is cut off, though it goes on reading', async (t) => {
	function* pieces() {
		for (;;) yield Buffer.alloc(limits.chunk);
	}
	const ended = Promise.withResolvers<boolean>();
	const server = createServer((request, answer) => {
		answer.on('close', () => ended.resolve(answer.writableFinished));
		void sendPieces(request, answer, 'application/json', pieces(), 100);
	});
	t.teardown(() => server.close());
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
	t.teardown(() => client.destroy());
	client.on('error', () => {});
	client.resume().write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
	t.false(await ended.promise);
});

for (const encoding of ['identity', 'gzip'])
	test(`a large answer waits for the client that does not read it (${encoding})`, async (t) => {
		const total = 400;
		let made = 0;
		function* pieces() {
			// Text that no compression makes short.
			const piece = Buffer.alloc(limits.chunk, 0);
			for (let at = 0; at < piece.length; at++) piece[at] = Math.imul(at + 1, 2_654_435_761) >>> 24;
			for (; made < total; made++) yield piece;
		}
		let answered: (response: ServerResponse) => void = () => {};
		const response = new Promise<ServerResponse>((resolve) => {
			answered = resolve;
		});
		const server = createServer((request, answer) => {
			answered(answer);
			void sendPieces(request, answer, 'application/json', pieces());
		});
		t.teardown(() => server.close());
		server.listen(0, '127.0.0.1');
		await once(server, 'listening');
		const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
		t.teardown(() => client.destroy());
		client.pause();
		client.write(`GET / HTTP/1.1\r\nhost: x\r\naccept-encoding: ${encoding}\r\n\r\n`);
		const answer = await response;
		while (!answer.writableNeedDrain && made < total) await turn();
		for (let before = -1; before !== made && made < total; ) {
			before = made;
			for (let turns = 0; turns < 1_000; turns++) await turn();
		}
		t.true(made < total / 2, `${made} of ${total} pieces are made for nobody`);
	});
