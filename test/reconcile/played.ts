/** Controllers against a real API over HTTPS, as the real kubectl meets them; only the nodes are played. */
import type { ExecutionContext } from 'ava';
import { createCache, inProcess } from '../../src/client/index.ts';
import { garbageCollector } from '../../src/reconcile/cleanup/garbage-collector.ts';
import { type Controller, runControllers } from '../../src/reconcile/index.ts';
import { admin, serveTestApi } from '../testbed/api.ts';
import { kubectl as connect } from '../testbed/kubectl.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { kubelet } from './kubelet.ts';

/** `anywhere`: pods run without a node, where no scheduler is among the controllers. */
export async function played(t: ExecutionContext, controllers: readonly Controller[], { anywhere = true } = {}) {
	const server = await serveTestApi();
	const stop = new AbortController();
	const { signal } = stop;
	const client = inProcess(server.api, admin);
	const cache = createCache(client, { signal, log: silentLog });
	const node = kubelet({ anywhere });
	const all = [...controllers, garbageCollector(), node.controller];
	const running = runControllers({ client, cache, controllers: all, log: silentLog, now: Date.now, signal });
	const run = connect(server.kubeconfig);
	t.teardown(async () => {
		run[Symbol.dispose]();
		stop.abort();
		await running;
		await cache[Symbol.asyncDispose]();
		await server[Symbol.asyncDispose]();
	});
	return {
		client,
		cache,
		signal,
		api: server.api,
		node,
		run,
		/** A line without blanks in its words; it must succeed. */
		kubectl: (line: string) => run.ok(...line.split(' ')),
		apply: (manifest: object) => run.ok('apply', '-f', '-', { input: JSON.stringify(manifest) }),
	};
}
