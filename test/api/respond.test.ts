/** Large answers: made no further ahead than the client reads. */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { setImmediate as setImmediateOnce } from 'node:timers';
import { setImmediate as turn } from 'node:timers/promises';
import test from 'ava';
import { parse } from 'yaml';
import { sendPieces } from '../../src/api/http/respond.ts';
import { yamlItem, yamlOf } from '../../src/api/http/yaml-answer.ts';
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

test('other work goes on while a large answer is made', async (t) => {
	const total = 50;
	let turns = 0;
	let done = false;
	const other = () => {
		turns++;
		if (!done) setImmediateOnce(other);
	};
	function* pieces() {
		for (let made = 0; made < total; made++) {
			for (const end = performance.now() + limits.slice / 2; performance.now() < end; );
			yield Buffer.from('x');
		}
	}
	const server = createServer((request, answer) => {
		setImmediateOnce(other);
		void sendPieces(request, answer, 'text/plain', pieces()).finally(() => {
			done = true;
		});
	});
	t.teardown(() => server.close());
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	const answer = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
	t.is(await answer.text(), 'x'.repeat(total));
	t.true(turns > total / 10, `${turns} turns while ${total} pieces were made`);
});

test('an object of very many parts is YAML that costs no more than JSON, alone and in a list', (t) => {
	const data = Object.fromEntries(
		Array.from({ length: limits.yamlParts }, (_, index) => [`k${index}`, `a: "b" #${index}`]),
	);
	const long = { kind: 'ConfigMap', metadata: { name: 'a' }, data };
	const short = { kind: 'ConfigMap', metadata: { name: 'b' }, data: { text: 'one\ntwo\n', no: 'no' } };
	t.is(yamlOf(long), `${JSON.stringify(long)}\n`);
	const lines = { data: { text: 'a\n'.repeat(limits.yamlParts), more: '\n '.repeat(limits.yamlParts * 10) } };
	t.is(yamlOf(lines), `${JSON.stringify(lines)}\n`);
	t.regex(yamlOf({ data: { text: lines.data.text } }), /^data:\n {2}text: \|\n {4}a\n/);
	t.regex(yamlOf(short), /^kind: ConfigMap\nmetadata:\n {2}name: b\n/);
	t.deepEqual(parse(yamlOf(long)), long);
	const list = `kind: List\nitems:\n${yamlItem(long)}${yamlItem(short)}`;
	t.deepEqual(parse(list), { kind: 'List', items: [long, short] });
});
