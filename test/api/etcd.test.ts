import test from 'ava';
import { ConfigMap } from '../../src/kinds/index.ts';
import { openEtcd } from '../../src/store/etcd.ts';
import { admin, openTestApi } from '../testbed/api.ts';
import { startEtcd } from '../testbed/etcd.ts';
import { configMap, names } from './objects.ts';
import { semantics } from './suite.ts';

const cluster = await startEtcd();
test.after.always(() => cluster.stop());
let opened = 0;
const open = (prefix = `/test/${opened++}/`) => openEtcd({ endpoints: cluster.endpoints, prefix });

semantics(test, () => open());

test('two servers on one store see each other’s writes at once, and lose none', async (t) => {
	await using left = await openTestApi({ store: await open('/two/') });
	await using right = await openTestApi({ store: await open('/two/') });
	const maps = { kind: ConfigMap, namespace: 'default' };
	for (let index = 0; index < 20; index++) {
		const [writer, reader] = index % 2 ? [left.api, right.api] : [right.api, left.api];
		await writer.create(maps, configMap(`m${index}`), {}, admin);
		t.is((await reader.list(maps, {}, admin)).items.length, index + 1);
	}
	const patch = (api: typeof left.api, key: string) =>
		api.patch({ ...maps, name: 'm0' }, { type: 'merge', body: { data: { [key]: '1' } } }, {}, admin);
	await Promise.all(
		Array.from({ length: 10 }, (_, index) => [patch(left.api, `l${index}`), patch(right.api, `r${index}`)]).flat(),
	);
	const { object } = await left.api.get({ ...maps, name: 'm0' }, {}, admin);
	t.is(Object.keys(object.data ?? {}).length, 20);
	t.deepEqual(names((await right.api.list(maps, { labelSelector: 'x' }, admin)).items), []);
});
