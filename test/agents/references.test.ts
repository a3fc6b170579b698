import test from 'ava';
import { followPodReferences } from '../../src/agents/pods/references.ts';
import type { Client } from '../../src/client/index.ts';
import { ConfigMap, type Pod, Secret } from '../../src/kinds/index.ts';
import { world } from '../client/world.ts';
import { silentLog } from '../testbed/silent-log.ts';

const meta = (name: string) => ({ name, namespace: 'default' });
const secret = (name: string): Secret => ({ apiVersion: 'v1', kind: 'Secret', metadata: meta(name) });
const configMap = (name: string): ConfigMap => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: meta(name) });

const podWith = (uid: string, generation: number, spec: Partial<Pod['spec']>): Pod => ({
	apiVersion: 'v1',
	kind: 'Pod',
	metadata: { ...meta(uid), uid, generation },
	spec: { containers: [{ name: 'main', image: 'i' }], ...spec },
});

test('a node follows what its pods name, of volumes, variables and pull secrets, while they name it', async (t) => {
	const w = await world(t);
	for (const name of ['env', 'pull', 'late', 'unused']) await w.client.create(Secret, secret(name));
	for (const name of ['volume', 'all', 'unused']) await w.client.create(ConfigMap, configMap(name));
	const listed: string[] = [];
	const client: Client = {
		...w.client,
		list(kind, options = {}) {
			listed.push(`${kind.kind} ${options.namespace} ${options.fieldSelector}`);
			return w.client.list(kind, options);
		},
	};
	const references = followPodReferences(client, { log: silentLog, signal: w.signal });
	const changed: string[] = [];
	references.onChange((uid) => void changed.push(uid));

	const env = [{ name: 'A', valueFrom: { secretKeyRef: { name: 'env', key: 'k' } } }];
	const envFrom = [{ configMapRef: { name: 'all' } }];
	const first = podWith('one', 1, {
		containers: [{ name: 'main', image: 'i', env, envFrom }],
		volumes: [{ name: 'v', configMap: { name: 'volume' } }],
		imagePullSecrets: [{ name: 'pull' }],
	});
	t.throws(() => references.secret('default', 'env'), { message: /failed to sync secret cache/ });
	await references.use(first);
	t.deepEqual(listed.toSorted(), [
		'ConfigMap default metadata.name=all',
		'ConfigMap default metadata.name=volume',
		'Secret default metadata.name=env',
		'Secret default metadata.name=pull',
	]);
	t.is(references.secret('default', 'pull')?.metadata.name, 'pull');
	t.is(references.use(first), undefined, 'nothing new');

	const second = podWith('two', 1, { containers: [{ name: 'main', image: 'i', env }] });
	await references.use(second);
	t.is(listed.length, 4, 'what another pod names is there already');

	changed.length = 0;
	await w.client.update(Secret, { ...secret('env'), data: { k: 'djE=' } });
	while (changed.length < 2) await new Promise((resolve) => setImmediate(resolve));
	t.deepEqual(changed.toSorted(), ['one', 'two']);

	// A container that comes later brings names of its own.
	const more = { name: 'debug', image: 'i', envFrom: [{ secretRef: { name: 'late' } }] };
	await references.use(podWith('two', 2, { containers: [{ name: 'main', image: 'i', env }, more] }));
	t.is(references.secret('default', 'late')?.metadata.name, 'late');

	references.release('one');
	t.is(references.secret('default', 'env')?.data?.k, 'djE=', 'the other pod still names it');
	t.throws(() => references.secret('default', 'pull'), { message: /failed to sync secret cache/ });
	references.release('two');
	t.throws(() => references.secret('default', 'env'), { message: /failed to sync secret cache/ });
});
