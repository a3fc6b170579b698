import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { openApi } from '../../src/api/index.ts';
import { ApiError, ConfigMap, loadRegistry } from '../../src/kinds/index.ts';
import { admin, openTestApi } from '../testbed/api.ts';
import { silentLog } from '../testbed/silent-log.ts';

const key = '/registry/core/configmaps/default/new';
const newer = Buffer.from([2, ...Buffer.from('what only a newer version reads')]);
const target = { kind: ConfigMap, namespace: 'default', name: 'a' };
const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data: { a: '1' } };
const said =
	/\/registry\/core\/configmaps\/default\/new is stored in format 2, and this version of driftless reads formats up to 1/;

test('a store with values of a newer format is refused by name, and not read in part', async (t) => {
	await using opened = await openTestApi();
	await opened.store.commit({ puts: [{ key, value: newer }] });
	const again = openApi({ store: opened.store, registry: loadRegistry(), log: silentLog });
	t.regex((await t.throwsAsync(again)).message, said);
});

test('a server that meets a newer format while it runs serves nothing as fresh, and goes on when it has gone', async (t) => {
	const faults: string[] = [];
	const log = {
		...silentLog,
		error: (fields: { err?: Error }, message: string) => void faults.push(`${message}: ${fields.err?.message}`),
	};
	await using opened = await openTestApi({ log });
	const { api, store } = opened;
	await api.create({ kind: ConfigMap, namespace: 'default' }, map, {}, admin);
	await store.commit({ puts: [{ key, value: newer }] });
	const refused = async () => {
		try {
			await api.get(target, {}, admin);
			return undefined;
		} catch (cause) {
			return cause instanceof ApiError && cause.code === 503 ? cause.message : undefined;
		}
	};
	let message: string | undefined;
	for (let i = 0; i < 600 && !message; i++) {
		message = await refused();
		if (!message) await delay(50);
	}
	t.regex(message ?? 'nothing', said);
	t.is(faults.filter((fault) => said.test(fault)).length, 1, faults.join('\n'));
	await store.commit({ deletes: [key] });
	await store.compact(await store.revision());
	let seen: unknown;
	for (let i = 0; i < 600 && !seen; i++) {
		seen = await api.get(target, {}, admin).catch(() => undefined);
		if (!seen) await delay(50);
	}
	t.like(seen, { object: { data: { a: '1' } } });
});
