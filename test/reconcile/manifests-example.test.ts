/** Every example that the project ships, applied to a real API as a user would, and brought up by the controllers. */
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { parseAllDocuments } from 'yaml';
import {
	DaemonSet,
	Deployment,
	type Dynamic,
	EndpointSlice,
	Node,
	PersistentVolumeClaim,
	Pod,
	Service,
	StatefulSet,
	VOLUME_ROOT,
} from '../../src/kinds/index.ts';
import { clusterControllers } from '../../src/reconcile/index.ts';
import { eventually, run, type World, world } from '../client/world.ts';
import { kubelet } from './kubelet.ts';
import { node as nodeShape } from './workloads.ts';

const examples = new URL('../../manifests-example/', import.meta.url).pathname;

/** All manifests of the folder: kustomizations built by kubectl, the rest as it is. */
async function manifests(folder: string): Promise<string[]> {
	const entries = await readdir(folder, { withFileTypes: true });
	if (entries.some(({ name }) => name === 'kustomization.yaml')) {
		const { stdout } = await promisify(execFile)('kubectl', ['kustomize', folder]);
		return [stdout];
	}
	const parts = await Promise.all(
		entries.map(async (entry) => {
			const path = join(folder, entry.name);
			if (entry.isDirectory()) return manifests(path);
			return entry.name.endsWith('.yaml') ? [await readFile(path, 'utf8')] : [];
		}),
	);
	return parts.flat();
}

async function objects(): Promise<Dynamic[]> {
	const documents = (await manifests(examples)).flatMap((text) => parseAllDocuments(text));
	return documents.map((document) => {
		if (document.errors[0]) throw document.errors[0];
		return document.toJS() as Dynamic;
	});
}

async function apply({ client }: World, object: Dynamic) {
	const kind = client.registry.of(object.apiVersion, object.kind);
	if (!kind) throw new Error(`there is no kind ${object.apiVersion} ${object.kind}`);
	const namespace = kind.namespaced ? (object.metadata.namespace ?? 'default') : undefined;
	const warnings: string[] = [];
	await client.patch(
		kind,
		{ name: object.metadata.name, namespace },
		{ type: 'apply', body: { ...object, metadata: { ...object.metadata, namespace } } },
		{ fieldValidation: 'Strict', warn: (message) => warnings.push(message) },
	);
	return warnings;
}

test('every example is accepted strictly, comes up, and is found by its services', async (t) => {
	const place = await world(t);
	const { client } = place;
	run(t, place, [...clusterControllers(), kubelet().controller]);
	const made = await client.create(Node, {
		...nodeShape('n1'),
		metadata: { name: 'n1', annotations: { [VOLUME_ROOT]: '/volumes' } },
	});
	await client.update(Node, { ...made, status: nodeStatus }, { subresource: 'status' });

	const all = await objects();
	const first = ({ kind }: Dynamic) => (kind === 'Namespace' ? 0 : 1);
	for (const object of all.toSorted((a, b) => first(a) - first(b))) {
		t.deepEqual(await apply(place, object), []);
	}
	const count = (kind: string) => all.filter((object) => object.kind === kind).length;
	t.true(count('Deployment') >= 4 && count('Service') >= 5);

	await eventually(place, [Deployment, Pod], async () => {
		const { items } = await client.list(Deployment);
		const up = items.filter(({ spec, status }) => status?.availableReplicas === spec.replicas);
		return items.length === count('Deployment') && up.length === items.length ? true : undefined;
	});
	await eventually(place, [Pod], async () =>
		(await client.get(Pod, { name: 'clock', namespace: 'default' })).spec.nodeName ? true : undefined,
	);
	await eventually(place, [StatefulSet, DaemonSet, Pod], async () => {
		const { items: sets } = await client.list(StatefulSet);
		const { items: daemons } = await client.list(DaemonSet);
		const healths = [...sets.map((set) => StatefulSet.health(set)), ...daemons.map((set) => DaemonSet.health(set))];
		const all = healths.length === count('StatefulSet') + count('DaemonSet');
		return all && healths.every((health) => health?.status === 'Healthy') ? true : undefined;
	});
	await eventually(place, [PersistentVolumeClaim], async () => {
		const { items } = await client.list(PersistentVolumeClaim);
		return items.length >= count('PersistentVolumeClaim') && items.every(({ status }) => status?.phase === 'Bound')
			? true
			: undefined;
	});
	const found = await eventually(place, [EndpointSlice], async () => {
		const { items } = await client.list(EndpointSlice);
		const filled = items.filter(({ endpoints }) => endpoints?.some(({ conditions }) => conditions?.ready));
		return filled.length === count('Service') ? filled : undefined;
	});
	t.true(
		found.every(({ ports }) => ports?.every(({ port }) => port === 8080)),
		'named ports are found in the pods',
	);
	const outside = await client.get(Service, { name: 'web-public', namespace: 'guestbook' });
	t.is(outside.spec.ports?.[0]?.nodePort, 30080);
	const images = new Set(
		(await client.list(Pod)).items.flatMap(({ spec }) => spec.containers.map(({ image }) => image)),
	);
	t.deepEqual([...images], ['driftless/example:1'], 'nothing needs a registry');
});

const nodeStatus = {
	allocatable: { cpu: '2', memory: '2Gi', pods: '110' },
	capacity: { cpu: '2', memory: '2Gi', pods: '110' },
	conditions: [{ type: 'Ready', status: 'True', reason: 'Test', message: '' }],
};
