import { execFile } from 'node:child_process';
import { statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { builtins, resolve, type Schema } from '../../src/kinds/index.ts';
import { metaMerges } from '../../src/kinds/merges.ts';
import { schemaFile } from '../../src/kinds/schemas.ts';
import { kindOf, manifests, registry } from './manifests.ts';

const { schemas } = registry;
const field = (type: string, name: string): Schema => schemas[type]?.properties?.[name] ?? {};
const core = 'io.k8s.api.core.v1';
const meta = 'io.k8s.apimachinery.pkg.apis.meta.v1';

function* parts(schema: Schema): Generator<Schema> {
	yield schema;
	for (const property of Object.values(schema.properties ?? {})) yield* parts(property);
	for (const each of schema.allOf ?? []) yield* parts(each);
	if (schema.items) yield* parts(schema.items);
	if (typeof schema.additionalProperties === 'object') yield* parts(schema.additionalProperties);
}

test('every reference leads to a schema', (t) => {
	for (const [name, schema] of Object.entries(schemas))
		for (const part of parts(schema))
			if (part.$ref || part.allOf) t.truthy(resolve(part, schemas), `${name} refers to ${JSON.stringify(part)}`);
});

test('every built-in kind and its list have a schema that names the kind', (t) => {
	for (const { schema, group, version, kind } of builtins) {
		t.deepEqual(schemas[schema]?.['x-kubernetes-group-version-kind'], [{ group, version, kind }]);
		t.deepEqual(schemas[`${schema}List`]?.['x-kubernetes-group-version-kind'], [
			{ group, version, kind: `${kind}List` },
		]);
	}
});

test('every key of a keyed list is a field of its items', (t) => {
	for (const [name, schema] of Object.entries(schemas))
		for (const [property, list] of Object.entries(schema.properties ?? {})) {
			const item = list.items && resolve(list.items, schemas);
			const patchKey = list['x-kubernetes-patch-merge-key'];
			for (const key of [...(list['x-kubernetes-list-map-keys'] ?? []), ...(patchKey ? [patchKey] : [])])
				t.truthy(item?.properties?.[key], `${name}.${property} merges by ${key}`);
			if (list['x-kubernetes-list-type'] === 'map') t.truthy(list['x-kubernetes-list-map-keys']?.length);
		}
});

test('every type of which a kind says how it merges exists', (t) => {
	const types = [metaMerges, ...builtins.map(({ merges }) => merges)].flatMap((merges) => Object.keys(merges));
	t.true(types.length > 60);
	for (const name of types) t.truthy(schemas[name], name);
});

test('lists merge as the Kubernetes API reference says', (t) => {
	const listType = (type: string, name: string) => {
		const list = field(type, name);
		return [list['x-kubernetes-list-type'], ...(list['x-kubernetes-list-map-keys'] ?? [])].join(' ');
	};
	t.is(listType(`${core}.PodSpec`, 'containers'), 'map name');
	t.is(listType(`${core}.Container`, 'ports'), 'map containerPort protocol');
	t.is(listType(`${core}.Container`, 'env'), 'map name');
	t.is(listType(`${core}.Container`, 'args'), 'atomic');
	t.is(listType(`${core}.ServiceSpec`, 'ports'), 'map port protocol');
	t.is(listType(`${core}.PodSpec`, 'topologySpreadConstraints'), 'map topologyKey whenUnsatisfiable');
	t.is(listType(`${core}.PodSpec`, 'tolerations'), 'atomic');
	t.is(listType(`${core}.NodeSpec`, 'taints'), 'atomic');
	t.is(listType(`${core}.NodeStatus`, 'addresses'), 'map type');
	t.is(listType(`${core}.ResourceRequirements`, 'claims'), 'map name');
	t.is(listType('io.k8s.api.apps.v1.DeploymentStatus', 'conditions'), 'map type');
	t.is(listType('io.k8s.api.discovery.v1.EndpointSlice', 'endpoints'), 'atomic');
	t.is(listType(`${meta}.ObjectMeta`, 'finalizers'), 'set');
	t.is(listType(`${meta}.ObjectMeta`, 'ownerReferences'), 'map uid');
	t.is(field(`${core}.ServiceSpec`, 'selector')['x-kubernetes-map-type'], 'atomic');
	t.is(schemas[`${meta}.LabelSelector`]?.['x-kubernetes-map-type'], 'atomic');
	t.is(field(`${core}.PodSpec`, 'volumes')['x-kubernetes-patch-strategy'], 'merge,retainKeys');
	t.is(field('io.k8s.api.apps.v1.DeploymentSpec', 'strategy')['x-kubernetes-patch-strategy'], 'retainKeys');
	t.is(field(`${core}.Container`, 'ports')['x-kubernetes-patch-merge-key'], 'containerPort');
});

test('a keyed field that may be absent has the default that stands for it', (t) => {
	t.is(field(`${core}.ContainerPort`, 'protocol').default, 'TCP');
	t.is(field(`${core}.ServicePort`, 'protocol').default, 'TCP');
});

test('types carry the formats of Kubernetes', (t) => {
	const formatOf = (schema: Schema) => {
		const { type, format } = resolve(schema, schemas) ?? {};
		return [type, format].filter(Boolean).join(' ');
	};
	t.is(formatOf(field('io.k8s.api.apps.v1.DeploymentSpec', 'replicas')), 'integer int32');
	t.is(formatOf(field(`${core}.PodSpec`, 'terminationGracePeriodSeconds')), 'integer int64');
	t.is(formatOf(field(`${core}.ServicePort`, 'targetPort')), 'int-or-string');
	t.is(formatOf(field(`${meta}.ObjectMeta`, 'creationTimestamp')), 'string date-time');
	const values = (schema: Schema) =>
		typeof schema.additionalProperties === 'object' ? schema.additionalProperties : {};
	t.is(formatOf(values(field(`${core}.Secret`, 'data'))), 'string byte');
	t.is(formatOf(values(field(`${core}.ResourceRequirements`, 'limits'))), 'quantity');
	t.is(formatOf(field(`${core}.EmptyDirVolumeSource`, 'sizeLimit')), 'quantity');
});

test('what is required, and what each field means, comes with the schema', (t) => {
	t.deepEqual(schemas['io.k8s.api.apps.v1.DeploymentSpec']?.required, ['selector', 'template']);
	t.regex(field(`${core}.PodSpec`, 'nodeName').description ?? '', /node/i);
});

test('the types beside the kinds are named as Kubernetes names them', (t) => {
	for (const name of [
		`${meta}.Status`,
		`${meta}.DeleteOptions`,
		`${meta}.MicroTime`,
		`${meta}.FieldsV1`,
		`${core}.PodTemplateSpec`,
		`${core}.Binding`,
		'io.k8s.api.autoscaling.v1.Scale',
		'io.k8s.api.policy.v1.Eviction',
		'io.k8s.apimachinery.pkg.util.intstr.IntOrString',
		'io.k8s.apimachinery.pkg.api.resource.Quantity',
	])
		t.truthy(schemas[name], name);
});

test('each built-in kind is found by its path and by its objects', (t) => {
	const seen = new Set(manifests().map(kindOf));
	t.deepEqual(
		builtins.filter((kind) => !kind.computed && !seen.has(kind)).map(({ kind }) => kind),
		[],
		'each has an example',
	);
	for (const kind of builtins) t.is(registry.resource(kind.group, kind.version, kind.plural), kind);
});

test('generating schemas again leaves an up-to-date file alone', async (t) => {
	const before = statSync(schemaFile);
	const script = fileURLToPath(new URL('../../scripts/generate-schema.ts', import.meta.url));
	await promisify(execFile)(process.execPath, [script]);
	const after = statSync(schemaFile);
	t.is(after.mtimeMs, before.mtimeMs);
	t.is(after.ino, before.ino);
});
