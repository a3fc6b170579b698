/** The contract of engines, against a real Docker. */
import test from 'ava';
import { connectEngine } from '../../src/agents/index.ts';
import { exampleImage, startEngine } from '../testbed/engine.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { examples, type Subject } from './engine-contract.ts';

const stack = new AsyncDisposableStack();
let subject: Subject;

test.before(async () => {
	const real = stack.use(await startEngine());
	await exampleImage(real);
	const { signal } = new AbortController();
	const { dockerHost, dataDir, podCidr: cidr } = real;
	const engine = stack.use(await connectEngine({ dockerHost, dataDir, log: silentLog, signal }));
	const network = { node: 'node-1', name: 'driftless', bridge: 'drift0', mtu: 1500 };
	await engine.prepare({ ...network, cidr });
	subject = { engine, network, cidr, unreachable: '127.0.0.1:9/none:1' };
});
test.after.always(() => stack.disposeAsync());

for (const { title, run } of examples) test.serial(`docker: ${title}`, (t) => run(t, subject));
