/** A world as test/client/world.ts makes it, whose API refuses pods beyond a number, as an admission plugin for quotas does. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { openApi } from '../../src/api/index.ts';
import { createCache, inProcess } from '../../src/client/index.ts';
import { forbidden, loadRegistry, Pod } from '../../src/kinds/index.ts';
import { openStore } from '../../src/store/index.ts';
import { caller, type World } from '../client/world.ts';
import { silentLog } from '../testbed/silent-log.ts';

export interface Quota {
	/** How many more pods may be made. */
	left: number;
	/** How often one was refused. */
	refused: number;
}

export async function worldWithQuota(t: ExecutionContext, left: number): Promise<World & { readonly quota: Quota }> {
	const quota: Quota = { left, refused: 0 };
	const directory = await mkdtemp(join(tmpdir(), 'driftless-quota-'));
	const store = await openStore('sqlite', directory);
	const api = await openApi({
		store,
		registry: loadRegistry(),
		log: silentLog,
		admission: [
			({ operation, kind, subresource, object }) => {
				if (kind.plural !== Pod.plural || operation !== 'CREATE' || subresource) return;
				if (quota.left-- > 0) return;
				quota.refused++;
				throw forbidden(Pod, object.metadata.name, 'exceeded quota: pods');
			},
		],
	});
	const stop = new AbortController();
	const client = inProcess(api, caller);
	const cache = createCache(client, { signal: stop.signal, log: silentLog });
	t.teardown(async () => {
		stop.abort();
		await cache[Symbol.asyncDispose]();
		await api[Symbol.asyncDispose]();
		await store[Symbol.asyncDispose]();
		await rm(directory, { recursive: true, force: true });
	});
	return { client, api, cache, signal: stop.signal, quota };
}
