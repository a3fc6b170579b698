/** A world as test/client/world.ts makes it, whose API refuses pods beyond a number, as an admission plugin for quotas does. */
import type { ExecutionContext } from 'ava';
import type { AdmissionPlugin } from '../../src/api/index.ts';
import { createCache, inProcess } from '../../src/client/index.ts';
import { forbidden, Pod } from '../../src/kinds/index.ts';
import { caller, type World } from '../client/world.ts';
import { openTestApi } from '../testbed/api.ts';
import { silentLog } from '../testbed/silent-log.ts';

export interface Quota {
	/** How many more pods may be made. */
	left: number;
	/** How often one was refused. */
	refused: number;
}

export async function worldWithQuota(t: ExecutionContext, left: number): Promise<World & { readonly quota: Quota }> {
	const quota: Quota = { left, refused: 0 };
	const limit: AdmissionPlugin = {
		name: 'Limit',
		handles: ({ operation, kind, subresource }) => kind.plural === Pod.plural && operation === 'CREATE' && !subresource,
		validate({ name }) {
			if (quota.left-- > 0) return;
			quota.refused++;
			throw forbidden(Pod, name, 'exceeded quota: pods');
		},
	};
	const opened = await openTestApi({ admission: [limit] });
	const stop = new AbortController();
	const client = inProcess(opened.api, caller);
	const cache = createCache(client, { signal: stop.signal, log: silentLog });
	t.teardown(async () => {
		stop.abort();
		await cache[Symbol.asyncDispose]();
		await opened[Symbol.asyncDispose]();
	});
	return { client, api: { ...opened.api, [Symbol.asyncDispose]: async () => {} }, cache, signal: stop.signal, quota };
}
