/**
 * Drift of 10,000 stored objects against 10,000 manifests: all of it anew as after a start, and again after one live object
 * changed. The limit beside it is what plain comparison of the same objects as text costs.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openApi } from '../src/api/index.ts';
import { createCache, inProcess } from '../src/client/index.ts';
import { type Application, ConfigMap, Deployment, type Dynamic, keyOf, loadRegistry } from '../src/kinds/index.ts';
import { openStore } from '../src/store/index.ts';
import { createComparison, isSynced } from '../src/sync/compare/compare.ts';
import type { Manifest } from '../src/sync/render/index.ts';
import { type Desired, desire } from '../src/sync/want/desired.ts';
import { silentLog } from '../test/testbed/silent-log.ts';

const OBJECTS = 10_000;
const MANAGER = 'driftless';

const directory = await mkdtemp(join(tmpdir(), 'driftless-bench-'));
const store = await openStore('sqlite', directory);
const registry = loadRegistry();
const api = await openApi({ store, alone: true, registry, log: silentLog });
const client = inProcess(api, { name: 'admin', groups: ['system:masters'], userAgent: 'bench' });
const stop = new AbortController();
const cache = createCache(client, { signal: stop.signal, log: silentLog });

const application = {
	apiVersion: 'argoproj.io/v1alpha1',
	kind: 'Application',
	metadata: { name: 'default', namespace: 'default' },
	spec: { project: 'default', destination: {} },
} satisfies Application;
const position = { file: 'x.yaml', line: 1, column: 1 };
/** Half Deployments, half ConfigMaps. */
const manifests = Array.from({ length: OBJECTS }, (_, index): Manifest => {
	const object = (
		index % 2
			? {
					apiVersion: 'v1',
					kind: 'ConfigMap',
					metadata: { name: `o${index}` },
					data: { a: `${index}`, b: 'some text that is a little longer' },
				}
			: {
					apiVersion: 'apps/v1',
					kind: 'Deployment',
					metadata: { name: `o${index}`, labels: { app: 'web' } },
					spec: {
						replicas: 2,
						selector: { matchLabels: { app: `o${index}` } },
						template: {
							metadata: { labels: { app: `o${index}` } },
							spec: {
								containers: [
									{
										name: 'web',
										image: 'web:1',
										ports: [{ containerPort: 80 }],
										env: [{ name: 'A', value: 'b' }],
										resources: { requests: { cpu: '10m', memory: '8Mi' } },
										readinessProbe: { httpGet: { path: '/', port: 80 } },
									},
								],
							},
						},
					},
				}
	) as Dynamic;
	return { object, hash: `${index}`, file: 'x.yaml', position, locate: () => position };
});
const desired = new Map(
	manifests
		.map((manifest) => desire(manifest, application, registry))
		.flatMap((each) => (each ? [[each.id, each] as const] : [])),
);
const apply = ({ kind, object }: Desired) =>
	client.patch(
		kind,
		{ name: object.metadata.name, namespace: object.metadata.namespace },
		{ type: 'apply', body: object, force: true },
		{ fieldManager: MANAGER },
	);

let started = performance.now();
await Promise.all([...desired.values()].map(apply));
console.log(`applying ${OBJECTS} objects: ${((performance.now() - started) / 1_000).toFixed(2)} s`);
const informers = [cache.informer(Deployment), cache.informer(ConfigMap)] as const;
await cache.synced();
const live = (id: string) => {
	const wanted = desired.get(id);
	return wanted && (cache.informer(wanted.kind).get(keyOf(wanted.object)) as Dynamic | undefined);
};

for (let round = 0; round < 3; round++) {
	const comparison = createComparison();
	for (const id of desired.keys()) comparison.touch(id);
	started = performance.now();
	await comparison.refresh(desired, live, client, MANAGER);
	const all = performance.now() - started;
	const drifted = [...comparison.objects.values()].filter((each) => !isSynced(each)).length;

	const before = informers[1].get('default/o1');
	await client.patch(
		ConfigMap,
		{ name: 'o1', namespace: 'default' },
		{ type: 'merge', body: { data: { a: `changed ${round}` } } },
	);
	while (informers[1].get('default/o1') === before) await new Promise(setImmediate);
	for (const id of desired.keys()) comparison.touch(id);
	started = performance.now();
	const changed = await comparison.refresh(desired, live, client, MANAGER);
	const one = performance.now() - started;
	const seen = comparison.objects.get('-/ConfigMap/default/o1')?.drift.state;
	await apply(desired.get('-/ConfigMap/default/o1') as Desired);
	console.log(
		`drift of ${OBJECTS}, nothing changed: ${all.toFixed(0)} ms (bar 1000), ${drifted} drifted; one changed: ${one.toFixed(1)} ms (bar 50), ${changed.length} compared again, ${seen}`,
	);
	while (informers[1].get('default/o1')?.data?.a !== '1') await new Promise(setImmediate);
}
started = performance.now();
let same = 0;
for (const wanted of desired.values()) if (JSON.stringify(live(wanted.id)) === JSON.stringify(wanted.object)) same++;
console.log(
	`limit: serializing both sides of each and comparing the text: ${(performance.now() - started).toFixed(0)} ms (${same} equal)`,
);

stop.abort();
await cache[Symbol.asyncDispose]();
await api[Symbol.asyncDispose]();
await store[Symbol.asyncDispose]();
await rm(directory, { recursive: true });
