/** The decisions of the server that need no server: paths, what is accepted, who may do what, what a delete plans. */
import test from 'ava';
import { checkJson } from '../../src/api/http/json-text.ts';
import { negotiate } from '../../src/api/http/negotiate.ts';
import { deleteOptions } from '../../src/api/http/query.ts';
import { type ResourceRoute, routeOf } from '../../src/api/http/route.ts';
import { decodeProtobuf } from '../../src/api/protobuf/index.ts';
import { planDeletion } from '../../src/api/verbs/delete.ts';
import { type Dynamic, loadRegistry, Namespace, Pod } from '../../src/kinds/index.ts';

const routes: Readonly<Record<string, Partial<ResourceRoute> | undefined>> = {
	'/api/v1/pods': { group: '', version: 'v1', plural: 'pods', namespace: undefined, name: undefined },
	'/api/v1/namespaces/a/pods/b/log': { namespace: 'a', plural: 'pods', name: 'b', subresource: 'log' },
	'/api/v1/namespaces': { plural: 'namespaces', name: undefined, namespace: undefined },
	'/api/v1/namespaces/a': { plural: 'namespaces', name: 'a', namespace: undefined },
	'/api/v1/namespaces/a/status': { plural: 'namespaces', name: 'a', subresource: 'status' },
	'/api/v1/namespaces/a/finalize': { plural: 'namespaces', name: 'a', subresource: 'finalize' },
	'/apis/apps/v1/namespaces/a/deployments/b/scale': {
		group: 'apps',
		plural: 'deployments',
		name: 'b',
		subresource: 'scale',
	},
	'/api/v1/nodes/n1': { plural: 'nodes', name: 'n1', namespace: undefined },
	'/api/v1/watch/namespaces/a/pods': { plural: 'pods', namespace: 'a', watch: true },
	'/api/v1/namespaces/a/pods/x%3Ay': { name: 'x:y' },
	'/api': undefined,
	'/api/v1': undefined,
	'/apis/apps/v1': undefined,
	'/healthz': undefined,
};
for (const [path, wanted] of Object.entries(routes)) {
	test(`${path} is ${wanted ? 'a resource' : 'a path'}`, (t) => {
		const route = routeOf(path);
		if (wanted) t.like(route, { type: 'resource', ...wanted });
		else t.deepEqual(route, { type: 'path', path });
	});
}

test('the first form that can be served is the one', (t) => {
	const table = 'application/json;as=Table;v=v1;g=meta.k8s.io';
	for (const [accept, wanted] of [
		[undefined, { media: 'json' }],
		['*/*', { media: 'json' }],
		['application/vnd.kubernetes.protobuf,application/json', { media: 'json' }],
		[`${table},application/json`, { media: 'json', as: 'Table', version: 'v1' }],
		['application/json;as=Table;v=v9;g=meta.k8s.io,application/json', { media: 'json' }],
		['application/yaml', { media: 'yaml' }],
		['application/json;q=0.1,application/yaml', { media: 'yaml' }],
		['text/html, */*;q=0.1', { media: 'json' }],
	] as const)
		t.deepEqual(negotiate(accept, 'object'), wanted, accept);
	t.throws(() => negotiate(table, 'other'), { message: /only the following media types are accepted/ });
	t.throws(() => negotiate('application/cbor', 'object'), { message: /only the following media types are accepted/ });
});

test('fields that occur twice are found, wherever they are', (t) => {
	const found = (text: string) => checkJson(Buffer.from(text), JSON.parse(text));
	t.deepEqual(found('{"a":1,"b":{"a":1}}'), []);
	t.deepEqual(found('{"a":1,"a":2}'), ['duplicate field "a"']);
	t.deepEqual(found('{"a":1,"\\u0061":2}'), ['duplicate field "a"'], 'written in another way');
	t.deepEqual(found('{"a:":"b:c","__proto__":{"d":1}}'), []);
	t.deepEqual(found('{"__proto__":{},"__proto__":1}'), ['duplicate field "__proto__"']);
	t.deepEqual(found('{"a":[{"b":1},{"b":"}","c\\"":1,"b":2}]}'), ['duplicate field "a[1].b"']);
	t.throws(() => found('['.repeat(200) + ']'.repeat(200)), { message: /nested too deeply/ });
});

test('what a delete makes of an object', (t) => {
	const now = Date.parse('2030-01-01T00:00:00Z');
	const pod = (spec: object, metadata: object = {}, status: object = {}) =>
		({
			apiVersion: 'v1',
			kind: 'Pod',
			metadata: { name: 'p', generation: 1, ...metadata },
			spec,
			status,
		}) as unknown as Dynamic;
	const plan = (object: Dynamic, options = {}) => planDeletion(Pod as never, object, options, now);
	const bound = { nodeName: 'n1', terminationGracePeriodSeconds: 10 };
	t.is(plan(pod({ terminationGracePeriodSeconds: 10 })), 'remove');
	t.is(plan(pod(bound), { gracePeriodSeconds: 0 }), 'remove');
	t.is(plan(pod(bound, {}, { phase: 'Failed' })), 'remove');
	t.like(plan(pod(bound)), {
		metadata: { deletionTimestamp: '2030-01-01T00:00:10Z', deletionGracePeriodSeconds: 10, generation: 2 },
	});
	t.like(plan(pod(bound), { gracePeriodSeconds: -1 }), { metadata: { deletionGracePeriodSeconds: 1 } });
	t.like(plan(pod(bound), { gracePeriodSeconds: 1e15 }), {
		metadata: { deletionTimestamp: '2098-01-19T03:14:07Z', deletionGracePeriodSeconds: 2 ** 31 - 1 },
	});
	const leaving = { deletionTimestamp: '2030-01-01T00:00:10Z', deletionGracePeriodSeconds: 10 };
	t.is(plan(pod(bound, leaving)), 'keep');
	t.is(plan(pod(bound, leaving), { gracePeriodSeconds: 20 }), 'keep');
	t.like(plan(pod(bound, leaving), { gracePeriodSeconds: 3 }), {
		metadata: { deletionTimestamp: '2030-01-01T00:00:03Z', deletionGracePeriodSeconds: 3 },
	});
	t.like(plan(pod(bound, { finalizers: ['x'] }), { gracePeriodSeconds: 0 }), {
		metadata: { deletionGracePeriodSeconds: 0, finalizers: ['x'] },
	});
	t.like(plan(pod({}), { propagationPolicy: 'Foreground' }), { metadata: { finalizers: ['foregroundDeletion'] } });
	t.is(plan(pod({}, { finalizers: ['orphan'] }), { propagationPolicy: 'Background' }), 'remove');
	const space = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'n' }, spec: { finalizers: ['kubernetes'] } };
	t.like(planDeletion(Namespace as never, space, {}, now), { status: { phase: 'Terminating' } });
	t.is(planDeletion(Namespace as never, { ...space, spec: {} }, {}, now), 'remove');
});

test('the options of a delete come from its body, or its query', (t) => {
	const of = (query: string, body?: unknown) => deleteOptions(new URLSearchParams(query), body);
	t.like(of('gracePeriodSeconds=5&propagationPolicy=Orphan&dryRun=All'), {
		gracePeriodSeconds: 5,
		propagationPolicy: 'Orphan',
		dryRun: true,
	});
	t.like(of('gracePeriodSeconds=5', { kind: 'DeleteOptions', gracePeriodSeconds: 0 }), {
		gracePeriodSeconds: 0,
		dryRun: false,
	});
	t.like(of('', { orphanDependents: true }), { propagationPolicy: 'Orphan' });
	t.like(of('', { preconditions: { uid: 'u' } }), { preconditions: { uid: 'u' } });
	t.throws(() => of('', { propagationPolicy: 'Perhaps' }), { message: /propagationPolicy: Unsupported value/ });
	t.throws(() => of('', { gracePeriodSeconds: 'x' }), { message: /whole number/ });
	t.like(of('', { dryRun: [] }), { dryRun: false });
	t.throws(() => of('', { propagationPolicy: 'Orphan', orphanDependents: true }), {
		message: /^DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: .*cannot be both set$/,
	});
});

test('bytes that are no protobuf object are refused', (t) => {
	const { schemas } = loadRegistry();
	const cases: readonly [string, Uint8Array, RegExp][] = [
		['no prefix', Buffer.from('{}'), /does not begin with the prefix/],
		['cut off', Buffer.from('6b38730a0a', 'hex'), /prefix|no valid protobuf/],
		[
			'cut off in a field',
			Buffer.concat([Buffer.from('k8s\0'), Buffer.from([0x0a, 0xff])]),
			/no valid protobuf object/,
		],
		[
			'an unknown kind',
			Buffer.concat([Buffer.from('k8s\0'), Buffer.from([0x0a, 0x05, 0x0a, 0x01, 0x76, 0x12, 0x00])]),
			/cannot be sent as protobuf/,
		],
	];
	for (const [what, bytes, message] of cases) t.throws(() => decodeProtobuf(bytes, schemas), { message }, what);
});

test('a zero sent as protobuf is a zero where its type tells it from nothing, and nothing where it does not', (t) => {
	const bytes = (number: number, value: Uint8Array | string) => {
		const content = Buffer.from(value);
		return Buffer.concat([Buffer.from([(number << 3) | 2, content.length]), content]);
	};
	const zero = (number: number) => Buffer.from([number << 3, 0]);
	const body = (apiVersion: string, kind: string, raw: Uint8Array) =>
		Buffer.concat([
			Buffer.from('k8s\0'),
			bytes(1, Buffer.concat([bytes(1, apiVersion), bytes(2, kind)])),
			bytes(2, raw),
		]);
	const { schemas } = loadRegistry();
	const orphan = decodeProtobuf(body('v1', 'DeleteOptions', zero(3)), schemas);
	t.deepEqual(orphan, { apiVersion: 'v1', kind: 'DeleteOptions', orphanDependents: false });
	const affinity = bytes(14, bytes(1, zero(1)));
	const service = decodeProtobuf(body('v1', 'Service', bytes(2, Buffer.concat([zero(13), affinity]))), schemas);
	t.deepEqual(service.spec, { sessionAffinityConfig: { clientIP: { timeoutSeconds: 0 } } });
});
