/** The contract of engines, against the one that runs nothing. */
import test from 'ava';
import { simulatedEngine } from '../../src/agents/engine/simulated/index.ts';
import { ensureExampleImage } from '../../src/agents/index.ts';
import { examples, type Subject } from './engine-contract.ts';

const stack = new AsyncDisposableStack();
let subject: Subject;

test.before(async () => {
	const engine = stack.use(simulatedEngine());
	await ensureExampleImage(engine);
	const network = { node: 'node-1', name: 'driftless', bridge: 'drift0', mtu: 1500 };
	const cidr = '10.244.7.0/24';
	await engine.prepare({ ...network, cidr });
	subject = { engine, network, cidr, unreachable: 'registry.invalid/none:1' };
});
test.after.always(() => stack.disposeAsync());

for (const { title, run } of examples) test.serial(`simulated: ${title}`, (t) => run(t, subject));
