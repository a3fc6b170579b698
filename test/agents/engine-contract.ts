/**
 * What holds for every engine, as examples to run against one. Each container is told what to do twice: by a command, for
 * engines that run it, and by the annotations of its pod, for one that does not.
 */
import { randomUUID } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { collect, type Engine, type EngineEvent, type Part, type SandboxSpec } from '../../src/agents/engine/index.ts';
import { eventually } from './node.ts';

export interface Subject {
	/** Prepared for `network`, with the image of the examples. */
	readonly engine: Engine;
	readonly network: { readonly node: string; readonly name: string; readonly bridge: string; readonly mtu: number };
	/** As it was prepared with: a range of 256 addresses. */
	readonly cidr: string;
	/** An image of a registry that does not answer. */
	readonly unreachable: string;
}

export interface Example {
	readonly title: string;
	run(t: ExecutionContext, subject: Subject): Promise<void>;
}

const IMAGE = 'driftless/example:1';
const MAX_BYTES = 100_000;
const sh = (script: string) => ['sh', '-c', script];
const says = (behaviour: Record<string, string>) =>
	Object.fromEntries(Object.entries(behaviour).map(([name, value]) => [`simulated.driftless.io/${name}`, value]));

interface Task {
	readonly command: readonly string[];
	readonly annotations: Readonly<Record<string, string>>;
}

/** Runs until it is asked to end, and ends at once then. */
const WAIT: Task = {
	command: sh('trap "exit 143" TERM; echo begun; sleep 3600 & wait'),
	annotations: says({ log: 'begun', 'exec-output': 'said\n', 'exec-exit-code': '4' }),
};
const END: Task = {
	command: sh('echo one; echo two; exit 3'),
	annotations: says({ log: 'one\ntwo', 'run-seconds': '0', 'exit-code': '3' }),
};
const FAIL: Task = { command: ['/no/such/program'], annotations: says({ 'start-error': '/no/such/program' }) };

const namespaces = { network: 'pod', ipc: 'pod', pid: 'container' } as const;
const sandboxSpec = ({ network }: Subject, rest: Partial<SandboxSpec> = {}): SandboxSpec => ({
	pod: { node: network.node, uid: randomUUID(), namespace: 'default', name: 'p' },
	qos: 'BestEffort',
	attempt: 0,
	annotations: {},
	hostname: 'p',
	namespaces,
	ports: [],
	sysctls: {},
	maxPids: 100,
	...rest,
});

/** A sandbox that runs, and a container in it that was created. */
async function prepare(subject: Subject, { command, annotations }: Task) {
	const { sandboxes, parts, containers, images } = subject.engine;
	const within = sandboxSpec(subject, { annotations });
	const { id: sandbox } = await sandboxes.create(within);
	await parts.start(sandbox);
	const image = (await images.inspect(IMAGE))?.id ?? '';
	const notes = { name: 'main', attempt: 2, sandbox, hash: 'abc', backoff: 20 };
	const rest = { namespaces, mounts: [], terminationMessagePath: '/dev/termination-log', maxPids: 100 };
	const spec = { pod: within.pod, qos: within.qos, ...notes, image, command, ...rest };
	const { id } = await containers.create(spec);
	return { pod: within.pod, sandbox, notes, spec, id };
}

async function run(subject: Subject, task: Task) {
	const made = await prepare(subject, task);
	await subject.engine.parts.start(made.id);
	return made;
}

const untilEnded = ({ engine }: Subject, id: string): Promise<Part> =>
	eventually(`${id} has ended`, async () => {
		const part = await engine.parts.inspect(id);
		return part?.state === 'exited' && part;
	});

const log = { follow: false, timestamps: false, tty: false };
const nothing = { stdin: false, tty: false };

export const examples: readonly Example[] = [
	{
		title: 'a sandbox has an address of the range while it runs, and is its pod’s',
		async run(t, subject) {
			const { sandboxes, parts } = subject.engine;
			const spec = sandboxSpec(subject, { attempt: 3 });
			const { id, existed } = await sandboxes.create(spec);
			t.false(existed);
			t.like(await parts.inspect(id), { kind: 'sandbox', id, pod: spec.pod, attempt: 3, state: 'created' });
			await parts.start(id);
			await parts.start(id);
			const part = await parts.inspect(id);
			t.is(part?.state, 'running');
			const address = part?.kind === 'sandbox' ? part.address : undefined;
			t.is((address ?? '').replace(/\.\d+$/, '.0/24'), subject.cidr);
			await parts.kill(id, 'SIGKILL');
			const ended = await untilEnded(subject, id);
			t.falsy(ended.kind === 'sandbox' && ended.address);
			await parts.remove(id);
		},
	},
	{
		title: 'what is created twice is there once',
		async run(t, subject) {
			const { sandboxes, containers, parts } = subject.engine;
			const spec = sandboxSpec(subject);
			const { id } = await sandboxes.create(spec);
			t.deepEqual(await sandboxes.create(spec), { id, existed: true });
			t.not((await sandboxes.create({ ...spec, attempt: 1 })).id, id);
			const container = await prepare(subject, WAIT);
			t.deepEqual(await containers.create(container.spec), { id: container.id, existed: true });
			await parts.remove(container.id);
			t.false((await containers.create(container.spec)).existed);
		},
	},
	{
		title: 'a container is given back with all that was noted of it, and with its end',
		async run(t, subject) {
			const { engine } = subject;
			const { id, pod, notes } = await prepare(subject, END);
			t.like(await engine.parts.inspect(id), { kind: 'container', id, pod, ...notes, state: 'created', error: '' });
			await engine.parts.start(id);
			const part = await untilEnded(subject, id);
			t.like(part, { pod, ...notes, exitCode: 3, oomKilled: false, error: '' });
			if (part.kind !== 'container') return t.fail();
			const { name } = await engine.info();
			t.is(part.uri, `${name}://${id}`);
			t.is(part.imageId, (await engine.images.inspect(IMAGE))?.id ?? '');
			t.true(part.created <= (part.startedAt ?? 0) && (part.startedAt ?? 0) <= (part.finishedAt ?? 0));
		},
	},
	{
		title: 'one that cannot be started stays created, and says why',
		async run(t, subject) {
			const { parts } = subject.engine;
			const { id } = await prepare(subject, FAIL);
			await t.throwsAsync(parts.start(id), { name: 'EngineError', message: /\/no\/such\/program/ });
			const part = await parts.inspect(id);
			t.is(part?.state, 'created');
			t.regex((part?.kind === 'container' && part.error) || '', /\/no\/such\/program/);
		},
	},
	{
		title: 'one that is asked to stop ends by that signal; who is dead or gone is no error to kill or to remove',
		async run(t, subject) {
			const { parts } = subject.engine;
			const asked = await run(subject, WAIT);
			await eventually('it has begun', async () => {
				const output = await subject.engine.containers.logs(asked.id, log);
				return (await collect(output, MAX_BYTES)) === 'begun\n';
			});
			await parts.kill(asked.id, 'SIGTERM');
			t.like(await untilEnded(subject, asked.id), { exitCode: 143 });
			const killed = await run(subject, WAIT);
			await parts.kill(killed.id, 'SIGKILL');
			t.like(await untilEnded(subject, killed.id), { exitCode: 137 });
			await parts.kill(killed.id, 'SIGKILL');
			const removed = await run(subject, WAIT);
			await parts.remove(removed.id);
			await parts.remove(removed.id);
			await parts.kill(removed.id, 'SIGKILL');
			t.is(await parts.inspect(removed.id), undefined);
			await t.throwsAsync(parts.start(removed.id), { name: 'EngineError' });
		},
	},
	{
		title: 'events tell of starts, ends and removals with the pod, and a list has the parts of one node',
		async run(t, subject) {
			const { engine, network } = subject;
			const abort = new AbortController();
			const seen: EngineEvent[] = [];
			const following = (async () => {
				for await (const event of engine.events(abort.signal)) seen.push(event);
			})();
			await eventually('events flow', async () => seen[0]?.type === 'connected');
			const { id, pod, sandbox } = await run(subject, END);
			await untilEnded(subject, id);
			const list = await engine.parts.list(network.node);
			t.deepEqual(
				list.find((one) => one.id === id),
				{ id, uid: pod.uid, state: 'exited' },
			);
			t.like(
				list.find((one) => one.id === sandbox),
				{ uid: pod.uid, state: 'running' },
			);
			t.deepEqual(await engine.parts.list('another-node'), []);
			await engine.parts.remove(id);
			const changes = () =>
				seen.flatMap((event) => (event.type === 'part' && event.id === id ? [[event.change, event.pod]] : []));
			const last = await eventually('its removal is told', async () => {
				const told = changes();
				return told.at(-1)?.[0] === 'removed' && told;
			});
			t.deepEqual(last, [
				['started', pod],
				['ended', pod],
				['removed', pod],
			]);
			abort.abort();
			await following;
		},
	},
	{
		title: 'a log is read from its end or from a time, and followed to the end of its container',
		async run(t, subject) {
			const { engine } = subject;
			const { logs } = engine.containers;
			const { id } = await run(subject, END);
			await untilEnded(subject, id);
			const read = async (rest: object) => collect(await logs(id, { ...log, ...rest }), MAX_BYTES);
			t.is(await read({}), 'one\ntwo\n');
			t.is(await read({ tail: 1 }), 'two\n');
			t.is(await read({ tail: 0 }), '');
			t.is(await read({ since: Date.now() / 1000 + 3600 }), '');
			t.regex(await read({ timestamps: true, tail: 1 }), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z two\n$/);
			const going = await run(subject, WAIT);
			const text: string[] = [];
			for await (const { payload } of await logs(going.id, { ...log, follow: true })) {
				text.push(Buffer.from(payload).toString());
				await engine.parts.kill(going.id, 'SIGKILL');
			}
			t.deepEqual(text, ['begun\n']);
			const given = await run(subject, WAIT);
			const output = await logs(given.id, { ...log, follow: true });
			output.destroy(new Error('given up'));
			await t.throwsAsync(collect(output, MAX_BYTES), { message: 'given up' });
			await engine.parts.remove(given.id);
		},
	},
	{
		title: 'a command has its output and its exit code, and none runs in what has ended',
		async run(t, subject) {
			const { parts, containers } = subject.engine;
			const { id } = await run(subject, WAIT);
			const command = sh('echo said; exit 4');
			const execution = await containers.exec(id, { command, ...nothing });
			execution.input.end();
			t.is(await collect(execution.output, MAX_BYTES), 'said\n');
			t.is(await execution.exitCode(), 4);
			await execution.kill();
			await parts.kill(id, 'SIGKILL');
			await untilEnded(subject, id);
			await t.throwsAsync(containers.exec(id, { command, ...nothing }), { name: 'EngineError' });
		},
	},
	{
		title: 'who attaches is there until the container ends, and is late afterwards',
		async run(t, subject) {
			const { parts, containers } = subject.engine;
			const { id } = await run(subject, WAIT);
			const attached = await containers.attach(id, nothing);
			t.false(attached.late);
			const all = collect(attached.output, MAX_BYTES);
			await parts.kill(id, 'SIGKILL');
			await all;
			await untilEnded(subject, id);
			const after = await containers.attach(id, nothing);
			t.true(after.late);
			t.is(await collect(after.output, MAX_BYTES), '');
		},
	},
	{
		title: 'a container is given back with what it may take, also after a change of that while it runs',
		async run(t, subject) {
			const { containers, parts } = subject.engine;
			const limits = { cpuShares: 100, cpuQuota: 10_000, memory: 32 * 2 ** 20 };
			const { pod, spec } = await prepare(subject, WAIT);
			const { id } = await containers.create({ ...spec, pod, ...limits, attempt: 7 });
			const seen = async () => {
				const part = await parts.inspect(id);
				return part?.kind === 'container' ? part.limits : undefined;
			};
			t.deepEqual(await seen(), limits);
			await parts.start(id);
			const other = { cpuShares: 200, cpuQuota: 20_000, memory: 64 * 2 ** 20 };
			await containers.limit(id, other);
			t.deepEqual(await seen(), other);
			await parts.remove(id);
			await t.throwsAsync(containers.limit(id, limits), { name: 'EngineError' });
		},
	},
	{
		title: 'a container has figures while it runs',
		async run(t, subject) {
			const { parts } = subject.engine;
			const { id, sandbox } = await run(subject, WAIT);
			const usage = await parts.usage(id);
			t.true(usage && usage.cpuNanoseconds >= 0 && usage.memory >= usage.workingSet);
			t.true(((await parts.usage(sandbox))?.received ?? -1) >= 0);
			await parts.kill(id, 'SIGKILL');
			await untilEnded(subject, id);
			t.is(await parts.usage(id), undefined);
		},
	},
	{
		title: 'an image is known by its name and by its id until it is removed',
		async run(t, { engine: { images }, unreachable }) {
			t.is(await images.inspect('local/none:1'), undefined);
			// A tar archive of nothing: two empty blocks.
			await images.load('local/some:1', Buffer.alloc(1024), { command: ['/none'] });
			const image = await images.inspect('local/some:1');
			t.deepEqual(image?.tags, ['local/some:1']);
			t.deepEqual(image?.digests, []);
			t.is((await images.inspect(image?.id ?? ''))?.id, image?.id);
			t.true((await images.list()).some(({ tags }) => tags.includes('local/some:1')));
			await images.remove('local/some:1');
			await images.remove('local/some:1');
			t.is(await images.inspect('local/some:1'), undefined);
			await t.throwsAsync(images.pull(unreachable, undefined), { name: 'EngineError' });
		},
	},
	{
		title: 'a pod on its machine’s network has no address of the range',
		async run(t, subject) {
			const { sandboxes, parts } = subject.engine;
			const spec = sandboxSpec(subject, { namespaces: { ...namespaces, network: 'node' }, hostname: undefined });
			const { id } = await sandboxes.create(spec);
			await parts.start(id);
			const part = await parts.inspect(id);
			t.is(part?.state, 'running');
			t.falsy(part?.kind === 'sandbox' && part.address);
			await parts.remove(id);
		},
	},
	{
		title:
			'an engine is one node’s, and another range of it takes the sandboxes that have an address of the one before',
		async run(t, subject) {
			const { engine, network, cidr } = subject;
			const { id, sandbox } = await run(subject, WAIT);
			await engine.prepare({ ...network, cidr });
			t.is((await engine.parts.inspect(sandbox))?.state, 'running');
			await t.throwsAsync(engine.prepare({ ...network, node: 'another', cidr: '10.99.0.0/24' }), {
				name: 'EngineError',
				message: new RegExp(`belongs to the node ${network.node}`),
			});
			await engine.release({ ...network, node: 'another' });
			t.is((await engine.parts.inspect(sandbox))?.state, 'running');
			await engine.prepare({ ...network, cidr: '10.99.0.0/24' });
			t.is(await engine.parts.inspect(sandbox), undefined);
			await engine.parts.remove(id);
			const next = await run(subject, WAIT);
			const part = await engine.parts.inspect(next.sandbox);
			t.regex((part?.kind === 'sandbox' && part.address) || '', /^10\.99\.0\./);
			for (const one of await engine.parts.list(network.node)) await engine.parts.remove(one.id);
			await engine.release(network);
			await engine.prepare({ ...network, node: 'another', cidr });
			await engine.release({ ...network, node: 'another' });
		},
	},
];
