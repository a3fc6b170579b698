import test from 'ava';
import { decodeError, prune, validateSchema } from '../../src/kinds/index.ts';
import { admit, changed, kindOf, manifests, registry, schemaOf } from './manifests.ts';

const { schemas } = registry;
const check = (object: unknown) => {
	const kinded = object as Parameters<typeof schemaOf>[0];
	return validateSchema(object, schemaOf(kinded), schemas);
};
const deployment = manifests().find(({ kind }) => kind === 'Deployment');
const container = { name: 'web', image: 'nginx' };
const web = (spec: object, pod: object = {}) => ({
	apiVersion: 'apps/v1',
	kind: 'Deployment',
	metadata: { name: 'web', namespace: 'default' },
	spec: {
		selector: { matchLabels: { app: 'web' } },
		template: { metadata: { labels: { app: 'web' } }, spec: { containers: [container], ...pod } },
		...spec,
	},
});

for (const manifest of manifests())
	test(`${manifest.kind} ${manifest.metadata.name} of the guestbook fits its schema and its rules`, (t) => {
		t.deepEqual(check(manifest), { unknown: [], mistyped: [], errors: [] });
		t.deepEqual(admit(manifest).errors, []);
	});

test('an unknown field is named by its path, in the words of strict decoding', (t) => {
	const { unknown } = check(web({ replica: 3 }, { containers: [container, { ...container, imagee: 'x' }] }));
	t.deepEqual(
		unknown.map(({ message }) => message),
		['unknown field "spec.template.spec.containers[1].imagee"', 'unknown field "spec.replica"'],
	);
	t.deepEqual(unknown[0]?.path, ['spec', 'template', 'spec', 'containers', 1, 'imagee']);
});

const mistyped: [string, object, string, string, string, string][] = [
	[
		'text for a number',
		web({ replicas: 'two' }),
		'spec.replicas',
		'string "two"',
		'integer',
		'json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32',
	],
	[
		'a fraction for a whole number',
		web({ replicas: 1.5 }),
		'spec.replicas',
		'number 1.5',
		'integer',
		'json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32',
	],
	[
		'a number that is too large',
		web({ replicas: 3_000_000_000 }),
		'spec.replicas',
		'number 3000000000',
		'integer',
		'json: cannot unmarshal number 3000000000 into Go struct field DeploymentSpec.spec.replicas of type int32',
	],
	[
		'a number for the value of a variable',
		web({}, { containers: [{ ...container, env: [{ name: 'A', value: 1 }] }] }),
		'spec.template.spec.containers[0].env[0].value',
		'number 1',
		'string',
		'json: cannot unmarshal number into Go struct field EnvVar.spec.template.spec.containers.env.value of type string',
	],
	[
		'an object for a list',
		web({}, { containers: { web: container } }),
		'spec.template.spec.containers',
		'object',
		'list',
		'json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container',
	],
	[
		'a boolean for a label',
		changed(web({}), { metadata: { labels: { 'example.com/on': true } } }),
		'metadata.labels[example.com/on]',
		'boolean true',
		'string',
		'json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels of type string',
	],
	[
		'text that is no quantity',
		web({}, { containers: [{ ...container, resources: { limits: { cpu: 'lots' } } }] }),
		'spec.template.spec.containers[0].resources.limits.cpu',
		'string "lots"',
		'quantity',
		"quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
	],
	[
		'text that is no date',
		changed(web({}), { metadata: { creationTimestamp: 'yesterday' } }),
		'metadata.creationTimestamp',
		'string "yesterday"',
		'date and time',
		'parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"',
	],
	[
		'text that is no base64',
		{ apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' }, data: { key: 'a-b-' } },
		'data.key',
		'string "a-b-"',
		'base64 text',
		'illegal base64 data at input byte 1',
	],
	[
		'a list for the whole spec',
		web([] as unknown as object) && { ...web({}), spec: [] },
		'spec',
		'list',
		'object',
		'json: cannot unmarshal array into Go struct field Deployment.spec of type v1.DeploymentSpec',
	],
];

for (const [title, object, field, given, expected, message] of mistyped)
	test(`${title} is refused with the field, what stands there and what belongs there`, (t) => {
		const [found, ...more] = check(object).mistyped;
		t.deepEqual(more, []);
		t.like(found, { field, given, expected, message });
	});

test('a mistyped built-in object is a bad request, a mistyped custom resource is invalid', (t) => {
	const object = web({ replicas: 'two' });
	const refused = decodeError(kindOf(object), object, check(object).mistyped);
	t.is(refused.code, 400);
	t.is(
		refused.message,
		'Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32',
	);
	const application = {
		apiVersion: 'argoproj.io/v1alpha1',
		kind: 'Application',
		metadata: { name: 'shop' },
		spec: { project: 1 },
	};
	const invalid = decodeError(kindOf(application), application, check(application).mistyped);
	t.is(invalid.code, 422);
	t.regex(invalid.message, /^Application\.argoproj\.io "shop" is invalid: spec\.project: .*must be of type string/);
});

test('what is required and absent is an error of its own', (t) => {
	const { errors } = check({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web' }, spec: {} });
	t.deepEqual(
		errors.map(({ field, detail }) => `${field}: ${detail}`),
		['spec.selector: Required value', 'spec.template: Required value'],
	);
});

test('null counts as absent', (t) => {
	const { unknown, mistyped, errors } = check(web({ replicas: null, selector: null }));
	t.deepEqual([unknown, mistyped], [[], []]);
	t.deepEqual(
		errors.map(({ field }) => field),
		['spec.selector'],
	);
});

test('pruning drops unknown fields and nulls, and keeps all else', (t) => {
	const object = changed(deployment, { spec: { replica: 3, paused: null } });
	prune(object, schemaOf(object as Parameters<typeof schemaOf>[0]), schemas);
	const spec = object?.spec as Record<string, unknown>;
	t.false('replica' in spec);
	t.false('paused' in spec);
	t.is(spec.replicas, 3);
});

test('a null among texts becomes the empty text, as Go decodes it', (t) => {
	const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c' }, data: { key: null } };
	prune(map, schemaOf(map), schemas);
	t.deepEqual(map.data as unknown, { key: '' });
});

test('a null in a list or a map becomes the zero of its type, as Go decodes it', (t) => {
	const container = {
		args: [null],
		env: [null],
		ports: [{ containerPort: 80 }, null],
		resources: { limits: { cpu: null } },
	};
	const metadata = { name: 'p', labels: { a: null }, ownerReferences: [null] };
	const spec = { containers: [null, container], securityContext: { supplementalGroups: [null] } };
	const pod = changed({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' }, spec: {} }, { metadata, spec });
	prune(pod, schemaOf(pod), schemas);
	t.deepEqual(pod.metadata as unknown, { name: 'p', labels: { a: '' }, ownerReferences: [{}] });
	t.deepEqual(pod.spec as unknown, {
		containers: [
			{},
			{
				args: [''],
				env: [{}],
				ports: [{ containerPort: 80 }, {}],
				resources: { limits: { cpu: '0' } },
			},
		],
		securityContext: { supplementalGroups: [0] },
	});
});

test('quantities are stored in their canonical form', (t) => {
	const object = structuredClone(deployment);
	prune(object, schemaOf(object as Parameters<typeof schemaOf>[0]), schemas);
	const { limits, requests } = JSON.parse(JSON.stringify(object)).spec.template.spec.containers[0].resources;
	t.deepEqual(limits, { cpu: '1', memory: '1Gi' });
	t.deepEqual(requests, { cpu: '100m', memory: '100Mi' });
});

test('managed fields and free-form values pass whatever they hold', (t) => {
	const object = changed(web({}), {
		metadata: {
			managedFields: [{ manager: 'm', fieldsType: 'FieldsV1', fieldsV1: { 'f:spec': { 'k:{"a":1}': {} } } }],
		},
	});
	t.deepEqual(check(object), { unknown: [], mistyped: [], errors: [] });
	t.deepEqual(prune(structuredClone(object), schemaOf(object), schemas), object);
});

test('a key named as what every object inherits is an unknown field like any other', (t) => {
	const object = JSON.parse(
		'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"__proto__":{"a":1},"toString":2}',
	);
	t.deepEqual(
		check(object).unknown.map(({ field }) => field),
		['__proto__', 'toString'],
	);
});
