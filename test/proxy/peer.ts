/**
 * One end of a conversation, to be run in the network of a machine or a pod.
 * `udp-server NAME PORT` answers each datagram with its name and who sent it; `udp-client HOST PORT` sends a datagram from one
 * socket for each line of its input (again each second until it is answered, since a datagram may be lost), `tcp-client HOST
 * PORT` a line over one connection, and both print what comes back;
 * `tcp-server NAME PORT` answers each line; `dns-client ADDRESS` asks for the address of each name of its input and prints the
 * code and the addresses; `dns ADDRESS IP` answers every A question with the IP.
 */
import { createSocket } from 'node:dgram';
import { createConnection, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import * as packet from 'dns-packet';

const [mode = '', first = '', second = ''] = process.argv.slice(2);
const say = (text: string) => process.stdout.write(`${text}\n`);
const input = () => createInterface({ input: process.stdin });

/** Seconds for which a question is asked again; then its answer is `late`. */
const PATIENCE = 60;
let question = 0;
let timer: NodeJS.Timeout | undefined;

/** Asks by datagrams until there is an answer. Each question has a number, so that late answers to another are known. */
function ask(send: (question: number) => void): void {
	const current = ++question;
	let asked = 0;
	const again = () => {
		if (asked++ < PATIENCE) send(current);
		else answered(current, 'late');
	};
	clearInterval(timer);
	timer = setInterval(again, 1000);
	again();
}

function answered(of: number, text: string): void {
	if (of !== question || !timer) return;
	clearInterval(timer);
	timer = undefined;
	say(text);
}

switch (mode) {
	case 'udp-server': {
		const socket = createSocket('udp4');
		socket.on('message', (message, { address, port }) => {
			const [number] = String(message).split(' ');
			socket.send(`${number} ${first} ${address}`, port, address);
		});
		socket.bind(Number(second), () => say('ready'));
		break;
	}
	case 'udp-client': {
		const socket = createSocket('udp4');
		socket.on('message', (message) => {
			const [number, ...text] = String(message).split(' ');
			answered(Number(number), text.join(' '));
		});
		socket.on('error', (error) => answered(question, error.message));
		socket.connect(Number(second), first, () => {
			say('ready');
			input().on('line', (line) => ask((number) => socket.send(`${number} ${line}`)));
		});
		break;
	}
	case 'tcp-server': {
		const server = createServer((socket) => {
			socket.on('error', () => {});
			createInterface({ input: socket }).on('line', () => socket.write(`${first} ${socket.remoteAddress}\n`));
		});
		server.listen(Number(second), '0.0.0.0', () => say('ready'));
		break;
	}
	case 'tcp-client': {
		const socket = createConnection(Number(second), first, () => say('ready'));
		socket.on('error', (error) => say(error.message));
		socket.on('close', () => say('closed'));
		createInterface({ input: socket }).on('line', say);
		input().on('line', (line) => socket.write(`${line}\n`));
		break;
	}
	case 'dns-client': {
		const socket = createSocket('udp4');
		socket.on('message', (message) => {
			const { id = 0, flags = 0, answers = [] } = packet.decode(message);
			const addresses = answers.flatMap((each) => (each.type === 'A' ? [each.data] : []));
			answered(id, [flags & 0xf, ...addresses].join(' '));
		});
		socket.connect(53, first, () => {
			say('ready');
			const flags = packet.RECURSION_DESIRED;
			input().on('line', (name) =>
				ask((id) => socket.send(packet.encode({ type: 'query', id, flags, questions: [{ type: 'A', name }] }))),
			);
		});
		break;
	}
	case 'dns': {
		const socket = createSocket('udp4');
		socket.on('message', (query, from) => {
			const { id, questions } = packet.decode(query);
			const name = questions?.[0]?.name ?? '';
			const isA = questions?.[0]?.type === 'A';
			const answers: packet.Answer[] = isA ? [{ type: 'A', name, ttl: 60, data: second }] : [];
			const flags = packet.RECURSION_AVAILABLE;
			socket.send(packet.encode({ type: 'response', id, flags, questions, answers }), from.port, from.address);
		});
		socket.bind(53, first, () => say('ready'));
		break;
	}
	default:
		throw new Error(`no mode ${mode}`);
}
