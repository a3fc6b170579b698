/** Several servers on one store, as a highly available control plane has them. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { type Api, type ApiOptions, openApi } from '../../src/api/index.ts';
import { loadRegistry } from '../../src/kinds/index.ts';
import { openStore } from '../../src/store/index.ts';
import { silentLog } from './silent-log.ts';

/** Closed at the end of the test. */
export async function servers(
	t: ExecutionContext,
	count: number,
	options: Partial<ApiOptions> = {},
): Promise<readonly Api[]> {
	const directory = await mkdtemp(join(tmpdir(), 'driftless-servers-'));
	const store = await openStore('sqlite', directory);
	const apis: Awaited<ReturnType<typeof openApi>>[] = [];
	for (let i = 0; i < count; i++)
		apis.push(await openApi({ store, registry: loadRegistry(), log: silentLog, ...options }));
	t.teardown(async () => {
		for (const api of apis) await api[Symbol.asyncDispose]();
		await store[Symbol.asyncDispose]();
		await rm(directory, { recursive: true, force: true });
	});
	return apis;
}
