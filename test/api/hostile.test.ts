/**
 * Whatever a client sends, it is told what is wrong with it: random changes of a valid object of every kind, sent to create,
 * update and the four patches, are never answered with a fault of the server.
 */
import { inspect } from 'node:util';
import test from 'ava';
import { stringify } from 'yaml';
import { apiVersionOf, type Dynamic, type Kind } from '../../src/kinds/index.ts';
import { resolve, type Schema, type Schemas } from '../../src/kinds/schema.ts';
import { kindOf, manifests, registry } from '../kinds/manifests.ts';
import { serveTestApi } from '../testbed/api.ts';
import fc from '../testbed/fast-check.ts';

const faults: unknown[] = [];
const log = {
	debug: () => {},
	info: () => {},
	warn: () => {},
	error: (fields: { err?: unknown }, message: string) => {
		faults.push(fields.err ?? message);
	},
};
const server = await serveTestApi({ log });
test.after.always(() => server[Symbol.asyncDispose]());

const objects = manifests();

test.before(async () => {
	const namespaces = new Set(objects.map(({ metadata }) => metadata.namespace ?? 'guestbook'));
	namespaces.delete('guestbook');
	const made = [...namespaces].map((name): Dynamic => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }));
	for (const object of [...made, ...objects]) {
		const { code, text } = await server.ask(pathOf(kindOf(object), object), { body: object });
		if (code !== 201) throw new Error(`${object.kind} ${object.metadata.name}: ${text}`);
	}
});

function pathOf(kind: Kind, object: Dynamic): string {
	const root = kind.group ? `/apis/${apiVersionOf(kind)}` : `/api/${kind.version}`;
	return `${root}${kind.namespaced ? `/namespaces/${object.metadata.namespace}` : ''}/${kind.plural}`;
}

/** A value in which every field of the schema occurs once. */
function sample(schema: Schema | undefined, schemas: Schemas, levels: number): unknown {
	const resolved = resolve(schema, schemas);
	if (!resolved || levels === 0) return undefined;
	const { type, format, properties, items, additionalProperties, enum: choices } = resolved;
	if (choices?.length) return choices[0];
	if (format === 'quantity' || format === 'int-or-string') return '1';
	if (format === 'date-time') return '2026-01-02T12:00:00Z';
	if (type === 'array') return [sample(items, schemas, levels - 1)].filter((item) => item !== undefined);
	if (type === 'string') return 'a';
	if (type === 'integer' || type === 'number') return 1;
	if (type === 'boolean') return true;
	if (properties)
		return Object.fromEntries(
			Object.entries(properties).map(([name, property]) => [name, sample(property, schemas, levels - 1)]),
		);
	return typeof additionalProperties === 'object' ? { a: sample(additionalProperties, schemas, levels - 1) } : {};
}

type Path = readonly string[];

/** The path of every value in a value. */
function pathsOf(value: unknown, path: Path = []): Path[] {
	if (typeof value !== 'object' || value === null) return [path];
	return [path, ...Object.entries(value).flatMap(([key, member]) => pathsOf(member, [...path, key]))];
}

const at = (value: unknown, path: Path) =>
	path.reduce((current: unknown, key) => (current as Record<string, unknown> | null | undefined)?.[key], value);

/** The value with another one at a path, made where there is none; undefined takes away. */
function put(value: unknown, path: Path, change: unknown): unknown {
	const [key, ...rest] = path;
	if (key === undefined) return change;
	const container = typeof value === 'object' && value !== null ? value : {};
	const changed = put(
		Object.hasOwn(container, key) ? (container as Record<string, unknown>)[key] : undefined,
		rest,
		change,
	);
	if (Array.isArray(container) && /^\d+$/.test(key)) {
		const index = Math.min(Number(key), container.length);
		return changed === undefined ? container.toSpliced(index, 1) : container.toSpliced(index, 1, changed);
	}
	const entries = Object.entries(container).filter(([name]) => name !== key);
	return Object.fromEntries(changed === undefined ? entries : [...entries, [key, changed]]);
}

const key = fc.constantFrom(
	'__proto__',
	'constructor',
	'toString',
	'name',
	'metadata',
	'a',
	'',
	'$patch',
	'$retainKeys',
);
const scalar = fc.constantFrom<unknown>(
	...[null, '', 'a', ' ', '-1', '10', '1e400', 'replace', true, false, 0, -1, 1.5, 2 ** 31, 2 ** 63, 1e308],
	'x'.repeat(10_000),
);
const junk = fc.letrec((tie) => ({
	value: fc.oneof({ depthSize: 'small' }, scalar, tie('list'), tie('map')),
	list: fc.array(tie('value'), { maxLength: 3 }),
	// From entries: a key __proto__ is a member like any other.
	map: fc.array(fc.tuple(key, tie('value')), { maxLength: 3 }).map((entries) => Object.fromEntries(entries as [])),
})).value;

const mutation = fc.oneof(
	{ weight: 3, arbitrary: fc.record({ how: fc.constant('replace' as const), where: fc.nat(), what: junk }) },
	{
		weight: 3,
		arbitrary: fc.record({ how: fc.constant('replace' as const), where: fc.nat(), what: fc.constant(null) }),
	},
	{ weight: 1, arbitrary: fc.record({ how: fc.constant('remove' as const), where: fc.nat() }) },
	{ weight: 2, arbitrary: fc.record({ how: fc.constant('add' as const), where: fc.nat(), key, what: junk }) },
	{ weight: 2, arbitrary: fc.record({ how: fc.constant('wrap' as const), where: fc.nat() }) },
	{ weight: 3, arbitrary: fc.record({ how: fc.constant('graft' as const), where: fc.nat() }) },
);
type Mutation = typeof mutation extends fc.Arbitrary<infer T> ? T : never;

function mutated(value: unknown, whole: unknown, change: Mutation): unknown {
	if (change.how === 'graft') {
		const paths = pathsOf(whole);
		const path = paths[change.where % paths.length] ?? [];
		return put(value, path, at(whole, path));
	}
	const paths = pathsOf(value);
	const path = paths[change.where % paths.length] ?? [];
	switch (change.how) {
		case 'replace':
			return put(value, path, change.what);
		case 'remove':
			return put(value, path, undefined);
		case 'add':
			return put(value, [...path, change.key], change.what);
		case 'wrap':
			return put(value, path, [at(value, path), null]);
	}
}

interface Sent {
	readonly method: string;
	readonly type: string;
	/** Beneath the collection. */
	readonly path: string;
	readonly body: string;
}

const operation = fc.constantFrom('add', 'replace', 'remove', 'test', 'move', 'copy');

/** What a mutated object becomes as a request. */
const requests: Readonly<Record<string, (name: string, value: unknown, at: string, op: string) => Sent>> = {
	create: (_, value) => ({ method: 'POST', type: 'application/json', path: '', body: JSON.stringify(value) }),
	update: (name, value) => ({
		method: 'PUT',
		type: 'application/json',
		path: `/${name}`,
		body: JSON.stringify(value),
	}),
	'update of the status': (name, value) => ({
		method: 'PUT',
		type: 'application/json',
		path: `/${name}/status`,
		body: JSON.stringify(value),
	}),
	'create in YAML': (_, value) => ({ method: 'POST', type: 'application/yaml', path: '', body: stringify(value) }),
	'JSON patch': (name, value, at, op) => ({
		method: 'PATCH',
		type: 'application/json-patch+json',
		path: `/${name}`,
		body: JSON.stringify([
			{ op, path: at, from: '/metadata', value },
			...Object.entries(Object(value)).map(([key, member]) => ({ op: 'add', path: `/${key}`, value: member })),
		]),
	}),
	'merge patch': (name, value) => ({
		method: 'PATCH',
		type: 'application/merge-patch+json',
		path: `/${name}`,
		body: JSON.stringify(value),
	}),
	'strategic merge patch': (name, value) => ({
		method: 'PATCH',
		type: 'application/strategic-merge-patch+json',
		path: `/${name}`,
		body: JSON.stringify(value),
	}),
	'server-side apply': (name, value) => ({
		method: 'PATCH',
		type: 'application/apply-patch+yaml',
		path: `/${name}`,
		body: JSON.stringify(value),
	}),
	'server-side apply of the status': (name, value) => ({
		method: 'PATCH',
		type: 'application/apply-patch+yaml',
		path: `/${name}/status`,
		body: stringify(value),
	}),
};

/** Sends as many odd forms of a value, and fails where one of them meets a fault of the server. */
async function never500(
	value: unknown,
	whole: unknown,
	request: (value: unknown, pointer: string, op: string) => Sent & { readonly root: string },
): Promise<void> {
	const paths = pathsOf(value);
	await fc.assert(
		fc.asyncProperty(
			fc.array(mutation, { minLength: 1, maxLength: 3 }),
			fc.nat(),
			operation,
			async (changes, where, op) => {
				const changed = changes.reduce((current, change) => mutated(current, whole, change), value) ?? null;
				const pointer = (paths[where % paths.length] ?? []).map((part) => `/${part.replaceAll('/', '~1')}`).join('');
				const { method, type, root, path, body } = request(changed, pointer, op);
				faults.length = 0;
				const { code, text } = await server.ask(`${root}${path}?dryRun=All&force=true&fieldManager=hostile`, {
					method,
					headers: { 'content-type': type },
					body,
				});
				if (code < 500) return;
				throw new Error(`${method} ${path} ${body.slice(0, 2000)}\nis answered ${code}: ${text}\n${inspect(faults)}`);
			},
		),
		{ numRuns: 60, includeErrorInReport: true },
	);
}

for (const object of new Map(objects.map((object) => [object.kind, object])).values()) {
	const kind = kindOf(object);
	const whole = sample(registry.schemas[kind.schema], registry.schemas, 9);
	for (const [verb, request] of Object.entries(requests))
		test.serial(`no ${kind.kind}, however odd, makes a ${verb} fail in the server`, async (t) => {
			await never500(object, whole, (value, pointer, op) => ({
				root: pathOf(kind, object),
				...request(object.metadata.name, value, pointer, op),
			}));
			t.pass();
		});
}

const json = (method: string, path: string) => (value: unknown) => ({
	root: path,
	path: '',
	method,
	type: 'application/json',
	body: JSON.stringify(value),
});
const metadata = { name: 'debug', namespace: 'guestbook', uid: '', annotations: { a: 'b' } };
const debug = '/api/v1/namespaces/guestbook/pods/debug';
const frontend = '/apis/apps/v1/namespaces/guestbook/deployments/frontend';
const reviews = '/apis/authorization.k8s.io/v1';

/** What is sent beside the objects of kinds. */
const others: Readonly<Record<string, [value: object, request: ReturnType<typeof json>]>> = {
	'options of a delete': [
		{
			apiVersion: 'v1',
			kind: 'DeleteOptions',
			gracePeriodSeconds: 1,
			propagationPolicy: 'Foreground',
			preconditions: { uid: 'a', resourceVersion: '1' },
			dryRun: ['All'],
		},
		json('DELETE', debug),
	],
	Binding: [
		{ apiVersion: 'v1', kind: 'Binding', metadata, target: { kind: 'Node', name: 'n' } },
		json('POST', `${debug}/binding`),
	],
	Eviction: [
		{ apiVersion: 'policy/v1', kind: 'Eviction', metadata, deleteOptions: { dryRun: ['All'] } },
		json('POST', `${debug}/eviction`),
	],
	Scale: [
		{ apiVersion: 'autoscaling/v1', kind: 'Scale', metadata: { name: 'frontend' }, spec: { replicas: 2 } },
		json('PUT', `${frontend}/scale`),
	],
	'review of access': [
		{
			kind: 'SubjectAccessReview',
			spec: {
				user: 'jane',
				groups: ['a'],
				resourceAttributes: { verb: 'get', group: '', version: 'v1', resource: 'pods', namespace: 'a', name: 'b' },
				nonResourceAttributes: { path: '/', verb: 'get' },
			},
		},
		json('POST', `${reviews}/subjectaccessreviews`),
	],
	'review of rules': [
		{ kind: 'SelfSubjectRulesReview', spec: { namespace: 'a' } },
		json('POST', `${reviews}/selfsubjectrulesreviews`),
	],
	'review of a token': [
		{ kind: 'TokenReview', spec: { token: 'x', audiences: ['a'] } },
		json('POST', '/apis/authentication.k8s.io/v1/tokenreviews'),
	],
};
for (const [what, [value, request]] of Object.entries(others))
	test.serial(`no ${what}, however odd, makes a request fail in the server`, async (t) => {
		await never500(value, value, request);
		t.pass();
	});
