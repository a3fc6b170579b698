import { once } from 'node:events';
import { appendFile, writeFile } from 'node:fs/promises';
import { request as httpsRequest } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { gunzipSync } from 'node:zlib';
import test from 'ava';
import { parse } from 'yaml';
import { serveApi } from '../../src/api/index.ts';
import { limits } from '../../src/api/limits.ts';
import { Namespace } from '../../src/kinds/index.ts';
import { type Answer, type Ask, admin, serveTestApi } from '../testbed/api.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { configMap, deployment, pod } from './objects.ts';

const server = await serveTestApi();
test.after.always(() => server[Symbol.asyncDispose]());
const { ask } = server;
const maps = '/api/v1/namespaces/default/configmaps';

const { spec: small } = deployment('big');
const env = [{ name: 'TEXT', value: 'x'.repeat(1.6 * 1024 * 1024) }];
const huge = {
	...small,
	template: { ...small.template, spec: { containers: [{ name: 'main', image: 'example/app:1', env }] } },
};

interface Case {
	readonly path: string;
	readonly ask?: Ask;
	readonly code: number;
	readonly reason?: string;
	readonly message?: RegExp;
}

const yaml = { 'content-type': 'application/yaml' };
const merge = { 'content-type': 'application/merge-patch+json' };
const deep = (levels: number) => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`;

const refusals: Readonly<Record<string, Case>> = {
	'a path that is none': {
		path: '/nope',
		code: 404,
		reason: 'NotFound',
		message: /could not find the requested resource/,
	},
	'a kind that is none': { path: '/api/v1/namespaces/default/nopes', code: 404, reason: 'NotFound' },
	'a group that is none': { path: '/apis/nope/v1/things', code: 404, reason: 'NotFound' },
	'a cluster-scoped kind in a namespace': { path: '/api/v1/namespaces/default/nodes', code: 404, reason: 'NotFound' },
	'a subresource that is none': { path: `${maps}/a/nope`, code: 404, reason: 'NotFound' },
	'an object that is not there': {
		path: `${maps}/nope`,
		code: 404,
		reason: 'NotFound',
		message: /configmaps "nope" not found/,
	},
	'a path with a broken escape': { path: '/api/v1/namespaces/%zz/pods', code: 400, reason: 'BadRequest' },
	'a method that is not allowed': {
		path: `${maps}/a`,
		ask: { method: 'POST', body: {} },
		code: 405,
		reason: 'MethodNotAllowed',
	},
	'a method on discovery': { path: '/api', ask: { method: 'POST', body: {} }, code: 405, reason: 'MethodNotAllowed' },
	'a body that is no JSON': {
		path: maps,
		ask: { body: '{"a":' },
		code: 400,
		reason: 'BadRequest',
		message: /no valid JSON/,
	},
	'a body that is no object': {
		path: maps,
		ask: { body: '[1]' },
		code: 400,
		reason: 'BadRequest',
		message: /must be a JSON object/,
	},
	'an empty body': { path: maps, ask: { body: '' }, code: 400, reason: 'BadRequest' },
	'a body of another kind': {
		path: maps,
		ask: { body: pod('p') },
		code: 400,
		reason: 'BadRequest',
		message: /does not match the expected kind/,
	},
	'a body of another version': {
		path: '/apis/apps/v1/namespaces/default/deployments',
		ask: { body: { ...deployment('d'), apiVersion: 'apps/v2' } },
		code: 400,
		message: /the API version in the data \(apps\/v2\) does not match the expected API version \(apps\/v1\)/,
	},
	'a body that is too large': {
		path: maps,
		ask: { body: 'x'.repeat(3 * 1024 * 1024 + 1) },
		code: 413,
		reason: 'RequestEntityTooLarge',
	},
	'a list item that is null': {
		path: '/api/v1/namespaces/default/pods',
		ask: { body: pod('p', { containers: [null] }) },
		code: 422,
		reason: 'Invalid',
		message: /spec\.containers\[0\]\.name: Required value/,
	},
	'a spec that is null': {
		path: '/api/v1/namespaces/default/services',
		ask: { body: { apiVersion: 'v1', kind: 'Service', metadata: { name: 's' }, spec: null } },
		code: 422,
		reason: 'Invalid',
		message: /spec.*Required value/,
	},
	'a kind that is no text': {
		path: maps,
		ask: { body: '{"kind":{"toString":1}}' },
		code: 400,
		message: /\{"toString":1\} in version "v1" cannot be handled as a ConfigMap/,
	},
	'an object that is too large': {
		path: '/apis/apps/v1/namespaces/default/deployments',
		ask: { body: { ...deployment('big'), metadata: { name: 'big' }, spec: huge } },
		code: 413,
		reason: 'RequestEntityTooLarge',
		message: /Deployment "big" is too large: at least \d+ bytes, the limit is \d+/,
	},
	'an object that is too large with what it claims': {
		path: '/apis/coordination.k8s.io/v1/namespaces/default/leases',
		ask: {
			body: {
				apiVersion: 'coordination.k8s.io/v1',
				kind: 'Lease',
				metadata: { name: 'big' },
				spec: { holderIdentity: 'x'.repeat(1_000_000) },
			},
		},
		code: 413,
		reason: 'RequestEntityTooLarge',
		message: /Lease "big" is too large/,
	},
	'a body that is too deep': { path: maps, ask: { body: deep(200) }, code: 400, message: /nested too deeply/ },
	'a body that is very deep': { path: maps, ask: { body: deep(200_000) }, code: 400, message: /nested too deeply/ },
	'YAML that is broken': { path: maps, ask: { body: 'a: [', headers: yaml }, code: 400, message: /no valid YAML/ },
	'YAML that is a bomb': {
		path: maps,
		ask: {
			body: `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefgh'.replace(/./g, (c, i: number) => `${c}: &${c} [${Array(9).fill(`*${'abcdefgh'[i]}`)}]\n`)}`,
			headers: yaml,
		},
		code: 400,
		message: /no valid YAML/,
	},
	'a media type that is none': {
		path: maps,
		ask: { body: 'x', headers: { 'content-type': 'text/plain' } },
		code: 415,
		reason: 'UnsupportedMediaType',
	},
	'a patch without its media type': {
		path: `${maps}/a`,
		ask: { method: 'PATCH', body: {} },
		code: 415,
		reason: 'UnsupportedMediaType',
	},
	'a strategic merge of a custom resource': {
		path: '/apis/argoproj.io/v1alpha1/namespaces/default/applications/a',
		ask: { method: 'PATCH', body: {}, headers: { 'content-type': 'application/strategic-merge-patch+json' } },
		code: 415,
		message:
			/accepted media types include: application\/json-patch\+json, application\/merge-patch\+json, application\/apply-patch\+yaml$/,
	},
	'an Accept that cannot be served': {
		path: maps,
		ask: { headers: { accept: 'application/vnd.kubernetes.protobuf' } },
		code: 406,
		reason: 'NotAcceptable',
	},
	'a timeout that is none': { path: `${maps}?timeout=soon`, code: 400, message: /invalid timeout specified in the/ },
	'a limit that is no number': { path: `${maps}?limit=ten`, code: 400, message: /limit: Invalid value/ },
	'a dry run of something else': {
		path: `${maps}?dryRun=Some`,
		ask: { body: configMap('x') },
		code: 422,
		reason: 'Invalid',
		message: /^CreateOptions\.meta\.k8s\.io "" is invalid: dryRun: Unsupported value/,
	},
	'a field validation that is none': {
		path: `${maps}?fieldValidation=Soft`,
		ask: { body: configMap('x') },
		code: 422,
		message: /^CreateOptions\.meta\.k8s\.io "" is invalid: fieldValidation: Unsupported value/,
	},
	'a selector that cannot be parsed': {
		path: `${maps}?labelSelector=a+in`,
		code: 400,
		message: /unable to parse requirement/,
	},
	'a selector of a watch that cannot be parsed': { path: `${maps}?watch=1&labelSelector=a+in`, code: 400 },
	'delete options of another kind': {
		path: `${maps}/a`,
		ask: { method: 'DELETE', body: pod('p') },
		code: 400,
		message: /DeleteOptions/,
	},
	'a name that no object can have': { path: `${maps}/%00`, ask: { method: 'DELETE' }, code: 404, reason: 'NotFound' },
	'a name with a slash': { path: `${maps}/a%2Fb`, ask: { method: 'DELETE' }, code: 404, reason: 'NotFound' },
	'a merge patch that is no object': {
		path: `${maps}/kube-root`,
		ask: { method: 'PATCH', body: [1], headers: merge },
		code: 404,
	},
};

for (const [what, { path, ask: how, code, reason, message }] of Object.entries(refusals)) {
	test(`${what} is refused with ${code}`, async (t) => {
		const answer = await ask(path, how);
		t.is(answer.code, code, answer.text);
		const { body } = answer;
		t.like(body, { kind: 'Status', apiVersion: 'v1', status: 'Failure', code });
		if (reason) t.is(body.reason, reason);
		if (message) t.regex(body.message, message);
		t.is((await ask('/livez')).code, 200, 'the server lives');
	});
}

test('what is not served is told with empty details, as kubectl reads them without a look whether they are there', async (t) => {
	const paths = ['/nope', '/apis/nope/v1/things', `${maps}/a/nope`, `${maps.replace('configmaps', 'pods')}/p/nope`];
	for (const path of paths) t.deepEqual((await ask(path)).body.details, {}, path);
});

test('only health and version are for everybody', async (t) => {
	for (const path of ['/healthz', '/livez', '/readyz', '/version'])
		t.is((await ask(path, { as: 'nobody' })).code, 200, path);
	for (const path of ['/api', '/api/v1/pods', '/metrics', '/openapi/v3', '/']) {
		const { code, body } = await ask(path, { as: 'nobody' });
		t.is(code, 401, path);
		t.is(body.reason, 'Unauthorized');
	}
});

test('a certificate of another authority is no credential', async (t) => {
	await using other = await serveTestApi();
	t.is((await ask('/api/v1/pods', { as: other.pki.admin })).code, 401);
});

test('a bearer token is a user; a wrong one is nobody, even beside a good certificate', async (t) => {
	await writeFile(server.tokens, '# tokens\nsecret-1,ann,1,"dev,ops"\nsecret-2,root,2,system:masters\n');
	const as = (token: string): Ask => ({ as: 'nobody', headers: { authorization: `Bearer ${token}` } });
	t.is((await ask('/api/v1/pods', as('secret-2'))).code, 200);
	t.is((await ask('/api/v1/pods', as('secret-3'))).code, 401);
	t.is((await ask('/api/v1/pods', { headers: { authorization: 'Bearer secret-3' } })).code, 401);
	t.is((await ask('/api/v1/pods', { as: 'nobody', headers: { authorization: 'Basic YTpi' } })).code, 401);
	const denied = await ask('/api/v1/namespaces/default/pods/p', as('secret-1'));
	t.is(denied.code, 403);
	t.is(
		denied.body.message,
		'pods "p" is forbidden: User "ann" cannot get resource "pods" in API group "" in the namespace "default"',
	);
	const review = await ask('/apis/authentication.k8s.io/v1/selfsubjectreviews', {
		...as('secret-1'),
		method: 'POST',
		body: {},
	});
	t.like(review.body.status.userInfo, { username: 'ann', uid: '1' });
	t.deepEqual(review.body.status.userInfo.groups, ['dev', 'ops', 'system:authenticated']);
	t.is((await ask('/api', as('secret-1'))).code, 200, 'discovery is for all who are known');
	await appendFile(server.tokens, 'secret-3,late,3,system:masters\n');
	const end = Date.now() + 10_000;
	while ((await ask('/api/v1/pods', as('secret-3'))).code !== 200)
		t.true(Date.now() < end, 'a token added later counts');
});

test('the tokens of the Secret driftless-tokens are good at every server, until they are taken out of it', async (t) => {
	const as = { as: 'nobody', headers: { authorization: 'Bearer shared-1' } } as const;
	const secrets = '/api/v1/namespaces/kube-system/secrets';
	const code = async (wanted: number) => {
		let seen = 0;
		for (const end = Date.now() + 60_000; Date.now() < end && seen !== wanted; )
			seen = (await ask('/api/v1/pods', as)).code;
		t.is(seen, wanted);
	};
	await code(401);
	const lines = (text: string) => ({ metadata: { name: 'driftless-tokens' }, stringData: { tokens: text } });
	t.is((await ask(secrets, { body: lines('shared-1,ann,1,system:masters\n') })).code, 201);
	await code(200);
	const put = (text: string) => ask(`${secrets}/driftless-tokens`, { method: 'PUT', body: lines(text) });
	await put('no token at all');
	await code(200);
	await put('shared-2,ann,1,system:masters\n');
	await code(401);
	await put('shared-1,ann,1,system:masters\n');
	await code(200);
	await ask(`${secrets}/driftless-tokens`, { method: 'DELETE' });
	await code(401);
});

test('masters may act for others', async (t) => {
	const headers = { 'impersonate-user': 'ann', 'impersonate-group': 'dev' };
	t.is((await ask('/api/v1/pods', { headers })).code, 403);
	const can = async (verb: string) => {
		const spec = { resourceAttributes: { verb, resource: 'pods', namespace: 'default' } };
		const { body } = await ask('/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', {
			body: { spec },
			headers: {},
		});
		return body.status.allowed;
	};
	t.true(await can('delete'));
});

test('a node may do what an agent needs, for itself only', async (t) => {
	const as = await server.pki.node('n1');
	const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' } };
	t.is((await ask('/api/v1/nodes', { as, body: node })).code, 201);
	const patch = (name: string) =>
		ask(`/api/v1/nodes/${name}/status`, {
			as,
			method: 'PATCH',
			headers: merge,
			body: { status: { nodeInfo: { kubeletVersion: 'v' } } },
		});
	t.is((await patch('n1')).code, 200);
	t.is((await patch('n2')).code, 403);
	t.is((await ask('/api/v1/pods?fieldSelector=spec.nodeName%3Dn1', { as })).code, 200);
	t.is((await ask('/api/v1/pods', { as })).code, 403);
	t.is((await ask('/api/v1/namespaces/default/pods', { as, body: pod('p') })).code, 403);
	t.is((await ask(maps, { as, body: configMap('x') })).code, 403);
	t.is((await ask('/api/v1/namespaces/default/pods/p/exec?command=ls', { as })).code, 403);
});

test('a created object is answered with 201 and its bytes, and read back the same', async (t) => {
	const made = await ask(maps, { body: configMap('bytes', { a: '1' }) });
	t.is(made.code, 201);
	const read = await ask(`${maps}/bytes`);
	t.is(read.text, made.text);
	t.is(read.headers['content-type'], 'application/json');
	const list = await ask(`${maps}?fieldSelector=metadata.name%3Dbytes`);
	t.like(list.body, { kind: 'ConfigMapList', apiVersion: 'v1' });
	t.true(list.text.includes(made.text));
});

test('YAML is accepted and answered', async (t) => {
	const body = 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: yaml\ndata:\n  a: "1"\n';
	t.is((await ask(maps, { body, headers: yaml })).code, 201);
	const read = await ask(`${maps}/yaml`, { headers: { accept: 'application/yaml' } });
	t.is(read.headers['content-type'], 'application/yaml');
	t.regex(read.text, /^kind: ConfigMap$/m);
	t.regex((await ask(maps, { headers: { accept: 'application/yaml' } })).text, /^ {2}- apiVersion: v1$/m);
});

test('tables, and metadata alone, come to those who ask for them', async (t) => {
	await ask('/apis/apps/v1/namespaces/default/deployments', { body: deployment('table') });
	const one = '/apis/apps/v1/namespaces/default/deployments/table';
	const accept = (as: string) => ({
		headers: { accept: `application/json;as=${as};v=v1;g=meta.k8s.io,application/json` },
	});
	const table = (await ask(one, accept('Table'))).body;
	t.is(table.kind, 'Table');
	t.is(table.rows.length, 1);
	t.is(table.rows[0].cells[0], 'table');
	t.is(table.columnDefinitions[0].name, 'Name');
	t.is(table.rows[0].object.kind, 'PartialObjectMetadata');
	t.is((await ask(`${one}?includeObject=Object`, accept('Table'))).body.rows[0].object.kind, 'Deployment');
	const partial = (await ask(one, accept('PartialObjectMetadata'))).body;
	t.deepEqual([partial.kind, partial.metadata.name, partial.spec], ['PartialObjectMetadata', 'table', undefined]);
	const list = (await ask('/apis/apps/v1/deployments', accept('PartialObjectMetadataList'))).body;
	t.is(list.kind, 'PartialObjectMetadataList');
});

test('what is wrong with a body but not fatal comes as a Warning', async (t) => {
	const body = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"warned"},"dta":{},"data":{"a":"1","a":"2"}}';
	const { code, headers } = await ask(maps, { body });
	t.is(code, 201);
	t.deepEqual(headers.warning, '299 - "duplicate field \\"data.a\\"", 299 - "unknown field \\"dta\\""');
	const strict = await ask(`${maps}?fieldValidation=Strict`, { body });
	t.is(strict.code, 400);
	t.regex(strict.body.message, /strict decoding error: duplicate field "data.a"/);
});

test('a large list is compressed for those who can read that', async (t) => {
	const namespace = '/api/v1/namespaces/kube-public/configmaps';
	await Promise.all(
		Array.from({ length: 40 }, (_, index) =>
			ask(namespace, { body: configMap(`m${index}`, { text: 'x'.repeat(20_000) }) }),
		),
	);
	const plain = await ask(namespace);
	t.true(plain.text.length > 800_000);
	t.is(plain.body.items.length, 40);
	const compressed = await new Promise<Buffer>((resolve, reject) => {
		const request = httpsRequest({
			...server.tls,
			path: namespace,
			headers: { 'accept-encoding': 'gzip' },
			agent: false,
		});
		request.on('error', reject);
		request.on('response', (response) => {
			const chunks: Buffer[] = [];
			t.is(response.headers['content-encoding'], 'gzip');
			response.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => resolve(Buffer.concat(chunks)));
		});
		request.end();
	});
	t.deepEqual(JSON.parse(gunzipSync(compressed).toString()).items, plain.body.items);
});

/** The lines of a watch until `count` of them have come. */
function watchLines(
	path: string,
	count: number,
	headers: Record<string, string> = {},
): Promise<{ code: number; lines: Answer['body'][] }> {
	return new Promise((resolve, reject) => {
		const request = httpsRequest({ ...server.tls, path, headers, agent: false });
		request.on('error', reject);
		request.on('response', (response) => {
			let text = '';
			const finish = () => {
				const lines = text
					.split('\n')
					.filter(Boolean)
					.map((line) => JSON.parse(line));
				request.destroy();
				resolve({ code: response.statusCode ?? 0, lines });
			};
			response.setEncoding('utf8').on('data', (chunk: string) => {
				text += chunk;
				if (text.split('\n').length > count) finish();
			});
			response.on('end', finish);
			response.on('error', () => {});
		});
		request.end();
	});
}

test('a watch streams lines, ends at its time, and has tables, one object and old paths as well', async (t) => {
	const namespace = '/api/v1/namespaces/kube-node-lease/configmaps';
	await ask(namespace, { body: configMap('w') });
	const { lines } = await watchLines(`${namespace}?watch=true`, 1);
	t.like(lines[0], { type: 'ADDED', object: { kind: 'ConfigMap', metadata: { name: 'w' } } });
	const ended = await watchLines(`${namespace}?watch=1&timeoutSeconds=1`, 99);
	t.deepEqual([ended.code, ended.lines.length], [200, 1]);
	const table = await watchLines(`${namespace}?watch=1&timeoutSeconds=1`, 99, {
		accept: 'application/json;as=Table;v=v1;g=meta.k8s.io',
	});
	t.like(table.lines[0], { type: 'ADDED', object: { kind: 'Table' } });
	t.is(
		(await watchLines(`/api/v1/watch/namespaces/kube-node-lease/configmaps/w`, 1)).lines[0]?.object.metadata.name,
		'w',
	);
	t.is((await watchLines(`${namespace}/w?watch=1`, 1)).lines[0]?.object.metadata.name, 'w');
	const initial =
		'watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan&resourceVersion=';
	t.like((await watchLines(`${namespace}?${initial}`, 2)).lines[1], {
		type: 'BOOKMARK',
		object: { metadata: { annotations: { 'k8s.io/initial-events-end': 'true' } } },
	});
	// Clients that stream lists fall back to plain ones when they are told Invalid.
	const refused = await ask(`${namespace}?watch=1&sendInitialEvents=true`);
	t.deepEqual([refused.code, refused.body.reason], [422, 'Invalid']);
	t.is((await ask(`${namespace}?sendInitialEvents=true&resourceVersionMatch=NotOlderThan`)).code, 422);
});

test('a watch from before the history gets an ERROR event with 410', async (t) => {
	// The server began with an empty store, so its history begins there; a watcher cannot ask for less than nothing.
	const many = '/api/v1/namespaces/default/secrets';
	const size = 1_000_000;
	const secret = (round: number) => ({
		metadata: { name: 'big' },
		data: { big: 'eHh4'.repeat(size / 4) },
		stringData: { round: String(round) },
	});
	const first = await ask(many, { body: secret(0) });
	t.is(first.code, 201, first.text);
	for (let round = 1; round <= limits.changeBytes / size + 1; round++) {
		t.is((await ask(`${many}/big`, { method: 'PUT', body: secret(round) })).code, 200);
	}
	const { code, lines } = await watchLines(`${many}?watch=1&resourceVersion=${first.body.metadata.resourceVersion}`, 1);
	t.is(code, 200);
	t.like(lines[0], { type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } });
});

test('a delete says what has become of the object', async (t) => {
	await ask(maps, { body: configMap('gone') });
	const gone = (await ask(`${maps}/gone`, { method: 'DELETE' })).body;
	t.like(gone, { kind: 'Status', status: 'Success', details: { name: 'gone', kind: 'configmaps' } });
	await ask(maps, { body: configMap('held', {}, { finalizers: ['example.com/x'] }) });
	const held = (await ask(`${maps}/held`, { method: 'DELETE', body: { kind: 'DeleteOptions', apiVersion: 'v1' } }))
		.body;
	t.truthy(held.metadata.deletionTimestamp);
});

test('discovery, OpenAPI and metrics are served', async (t) => {
	t.deepEqual((await ask('/api')).body.versions, ['v1']);
	t.true((await ask('/apis')).body.groups.some(({ name }: { name: string }) => name === 'apps'));
	t.is((await ask('/apis/apps')).body.kind, 'APIGroup');
	t.is((await ask('/apis/apps/v1')).body.kind, 'APIResourceList');
	const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json';
	t.is((await ask('/apis', { headers: { accept } })).body.kind, 'APIGroupDiscoveryList');
	const index = await ask('/openapi/v3');
	const { serverRelativeURL } = index.body.paths['apis/apps/v1'];
	const document = await ask(serverRelativeURL);
	t.truthy(document.body.components.schemas['io.k8s.api.apps.v1.Deployment']);
	t.is((await ask(serverRelativeURL, { headers: { 'if-none-match': String(document.headers.etag) } })).code, 304);
	t.is((await ask('/openapi/v2')).body.swagger, '2.0');
	t.regex(
		(await ask('/metrics')).text,
		/apiserver_request_total\{verb="[a-z]+",resource="configmaps",code="201"\} \d+/,
	);
	t.regex((await ask('/readyz?verbose')).text, /\[\+\]store ok/);
});

test('bytes that are no TLS, and TLS that is no HTTP, hurt nobody', async (t) => {
	await new Promise<void>((resolve) => {
		const socket = connect({ ...server.tls, host: '127.0.0.1', port: server.served.port }, () => {
			socket.write('\u0000\u0001 nonsense\r\n\r\n');
		});
		socket
			.on('data', () => {})
			.on('error', () => {})
			.on('close', () => resolve());
	});
	t.is((await ask('/livez')).code, 200);
});

test('a key may be named as what objects inherit, and is kept like any other', async (t) => {
	const data = '{"__proto__":"a","constructor":"b","toString":"c"}';
	const sent = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"inherited"},"data":${data}}`;
	t.is((await ask(maps, { body: sent })).code, 201);
	const { text } = await ask(`${maps}/inherited`);
	t.true(text.includes(`"data":${data}`), text);
	const patch = await ask(`${maps}/inherited`, {
		method: 'PATCH',
		headers: merge,
		body: '{"data":{"__proto__":null,"constructor":"d"}}',
	});
	t.deepEqual(Object.entries(patch.body.data), [
		['constructor', 'd'],
		['toString', 'c'],
	]);
});

test('a list that is larger than a piece is the same in every form, compressed or not', async (t) => {
	await server.api.create(
		{ kind: Namespace },
		{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'pieces' } },
		{},
		admin,
	);
	const path = '/api/v1/namespaces/pieces/configmaps';
	const note = 'a word, and\n\n- a line: of text\n'.repeat(3000);
	for (let n = 0; n < 12; n++) await ask(path, { body: configMap(`m${n}`, { note }, { annotations: { note } }) });
	const whole = (await ask(path)).text;
	t.true(whole.length > 2 * limits.chunk);
	const forms: Readonly<Record<string, (text: string) => unknown>> = {
		'application/json': JSON.parse,
		'application/yaml': parse,
		'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io': JSON.parse,
		'application/json;as=Table;v=v1;g=meta.k8s.io': JSON.parse,
	};
	for (const [accept, read] of Object.entries(forms)) {
		const plain = await fetchRaw(path, { accept });
		const zipped = await fetchRaw(path, { accept, 'accept-encoding': 'gzip' });
		t.is(zipped.encoding, 'gzip');
		// Other tests write meanwhile, and ages grow: the list's own metadata and the cells may differ.
		const objects = ({ bytes }: { readonly bytes: Buffer }) => {
			const list = read(bytes.toString()) as {
				items?: { metadata: object }[];
				rows?: { object: { metadata: object } }[];
			};
			return list.items ?? list.rows?.map(({ object }) => object) ?? [];
		};
		const found = objects(plain);
		t.is(found.length, 12);
		t.deepEqual(objects({ bytes: gunzipSync(zipped.bytes) }), found);
		if (accept === 'application/yaml') t.deepEqual(found, JSON.parse(whole).items);
		t.deepEqual(found[3]?.metadata, JSON.parse(whole).items[3].metadata);
	}
	t.is((await ask(path, { method: 'HEAD' })).text, '');
	const none = await ask('/api/v1/namespaces/none/pods', { headers: { accept: 'application/yaml' } });
	t.deepEqual(parse(none.text).items, []);
});

/** An answer as it came over the wire. */
function fetchRaw(
	path: string,
	headers: Record<string, string>,
): Promise<{ readonly encoding?: string; readonly bytes: Buffer }> {
	return new Promise((resolve, reject) => {
		const request = httpsRequest({ ...server.tls, path, headers, agent: false }, (response) => {
			const chunks: Buffer[] = [];
			response.on('data', (chunk: Buffer) => chunks.push(chunk));
			response.on('error', reject);
			response.on('end', () =>
				resolve({ encoding: response.headers['content-encoding'], bytes: Buffer.concat(chunks) }),
			);
		});
		request.on('error', reject);
		request.end();
	});
}

test('a client that goes in the middle of a large compressed list leaves the server at work', async (t) => {
	const path = '/api/v1/namespaces/pieces/configmaps';
	await new Promise<void>((resolve, reject) => {
		const headers = { 'accept-encoding': 'gzip' };
		const request = httpsRequest({ ...server.tls, path, headers, agent: false }, (response) => {
			response.on('error', () => resolve());
			response.on('close', () => resolve());
			response.destroy();
		});
		request.on('error', reject);
		request.end();
	});
	t.is((await ask(`${path}?limit=1`)).code, 200);
});

test('aggregated discovery is told once, and then only whether it has changed', async (t) => {
	const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';
	for (const path of ['/api', '/apis']) {
		const first = await ask(path, { headers: { accept } });
		const etag = String(first.headers.etag);
		t.regex(etag, /^"[0-9A-F]{128}"$/);
		const again = await ask(path, { headers: { accept, 'if-none-match': etag } });
		t.deepEqual([again.code, again.text, again.headers.etag], [304, '', etag]);
		t.is((await ask(path, { headers: { accept, 'if-none-match': '"other"' } })).code, 200);
		t.is((await ask(path, { headers: { 'if-none-match': etag } })).code, 200, 'another document');
	}
});

test('a client that goes while it is looked up who it is leaves nothing behind', async (t) => {
	const asked = Promise.withResolvers<void>();
	const known = Promise.withResolvers<void>();
	const slow = {
		async authenticate() {
			asked.resolve();
			await known.promise;
			return { name: 'late', groups: ['system:masters'] };
		},
	};
	const { api, pki } = server;
	const served = await serveApi({
		api,
		pki,
		address: '127.0.0.1',
		port: 0,
		log: silentLog,
		tokenAuthenticators: [slow],
	});
	t.teardown(() => served.close());
	const tls = { ...server.tls, port: served.port };
	const figures = async () => {
		const text = await new Promise<string>((resolve, reject) => {
			const request = httpsRequest({ ...tls, path: '/metrics', agent: false }, (response) => {
				response.setEncoding('utf8');
				let all = '';
				response.on('data', (chunk) => {
					all += chunk;
				});
				response.on('end', () => resolve(all));
			});
			request.on('error', reject).end();
		});
		return ['current_inflight_requests', 'longrunning_requests'].map((name) =>
			Number(new RegExp(`^apiserver_${name} (\\d+)$`, 'm').exec(text)?.[1]),
		);
	};
	const body = JSON.stringify(configMap('late'));
	const head = (method: string, path: string, length: number) =>
		`${method} ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer t\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n`;
	const gone: Promise<unknown>[] = [];
	for (const text of [`${head('POST', maps, body.length)}${body.slice(0, 9)}`, head('GET', `${maps}?watch=1`, 0)]) {
		const socket = connect({ ca: pki.authority.cert, host: '127.0.0.1', port: served.port });
		socket.write(text);
		await asked.promise;
		gone.push(once(socket, 'close'));
		socket.destroy();
	}
	await Promise.all(gone);
	// The server has read the ends of the connections when it has answered what was sent after them.
	await figures();
	known.resolve();
	let seen: number[] = [];
	for (let look = 0; look < 500; look++) {
		seen = await figures();
		// The question itself is one.
		if (seen[0] === 1 && seen[1] === 0) break;
		await sleep(20);
	}
	t.deepEqual(seen, [1, 0]);
});
