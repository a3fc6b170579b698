import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { Greeting, greeter, registry } from '../../docs/examples/greeting.ts';
import { openApi } from '../../src/api/index.ts';
import { createCache, inProcess } from '../../src/client/index.ts';
import { ApiError, ConfigMap } from '../../src/kinds/index.ts';
import { runControllers } from '../../src/reconcile/index.ts';
import { openStore } from '../../src/store/index.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { readPage, root } from './pages.ts';

test('the kind and the controller of the page on extending work', async (t) => {
	const directory = await mkdtemp(join(tmpdir(), 'driftless-docs-'));
	const stop = new AbortController();
	const { signal } = stop;
	await using stack = new AsyncDisposableStack();
	stack.defer(() => rm(directory, { recursive: true, force: true }));
	const store = stack.use(await openStore('sqlite', directory));
	const api = stack.use(await openApi({ store, registry, log: silentLog }));
	const client = inProcess(api, { name: 'ada', groups: ['system:masters'], userAgent: 'test' });
	const cache = stack.use(createCache(client, { signal, log: silentLog }));
	const running = runControllers({ client, cache, controllers: [greeter], log: silentLog, now: Date.now, signal });
	stack.defer(async () => {
		stop.abort();
		await running;
	});

	const greeting = (spec: Greeting['spec']): Greeting => ({
		apiVersion: 'example.com/v1',
		kind: 'Greeting',
		metadata: { name: 'morning', namespace: 'default' },
		spec,
	});
	const refused = await t.throwsAsync(client.create(Greeting, greeting({ name: '' })), { instanceOf: ApiError });
	t.regex(refused?.message ?? '', /spec\.name: Required value: a greeting is for somebody/);

	const made = await client.create(Greeting, greeting({ name: 'Ada' }));
	t.false(made.spec.loud, 'the default is filled in');
	const informer = cache.informer(ConfigMap);
	const words = () => informer.get('default/morning')?.data?.words;
	await informer.until(() => words() === 'Hello, Ada.', signal);
	await client.patch(
		Greeting,
		{ name: 'morning', namespace: 'default' },
		{ type: 'merge', body: { spec: { loud: true } } },
	);
	await informer.until(() => words() === 'Hello, Ada!', signal);
	await client.delete(ConfigMap, { name: 'morning', namespace: 'default' });
	await informer.until(() => words() === undefined, signal);
	await informer.until(() => words() === 'Hello, Ada!', signal);
});

test('the page on extending shows the example as it is', async (t) => {
	const example = await readFile(join(root, 'docs/examples/greeting.ts'), 'utf8');
	const shown = readPage('docs/extend.md').blocks.filter(({ info }) => info.includes('examples/greeting.ts'));
	t.true(shown.length > 0);
	for (const { text, line } of shown) t.true(example.includes(text), `docs/extend.md:${line} is not in the example`);
});
