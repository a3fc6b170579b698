import test from 'ava';
import { type Authorizer, chain, type Decision, noRules } from '../../src/api/auth/authorizer.ts';
import { everybody, masters } from '../../src/api/auth/everybody.ts';
import { impersonated } from '../../src/api/auth/impersonate.ts';
import type { User } from '../../src/api/auth/user.ts';
import type { AdmissionRequest, Mutation } from '../../src/api/index.ts';
import { ApiError, ConfigMap, type Dynamic, type Kind, kind, Lease, loadRegistry } from '../../src/kinds/index.ts';
import { admin, openTestApi, serveTestApi } from '../testbed/api.ts';

const group = 'system:authenticated';
const master: User = { name: 'root', groups: ['system:masters', group] };
const ann: User = { name: 'ann', groups: [group] };
const nobody: User = { name: 'system:anonymous', groups: ['system:unauthenticated'] };

/** `create apps/deployments/scale`, or `get /healthz`. */
async function may(
	authorizer: Authorizer,
	user: User,
	verb: string,
	what: string,
	more: object = {},
): Promise<boolean> {
	if (what.startsWith('path:'))
		return (await authorizer.authorize(user, { type: 'path', verb, path: what.slice(5) })).allowed;
	const [group = '', resource = '', subresource] = what.split('/');
	const attributes = { type: 'resource', verb, group, version: 'v1', resource, subresource, ...more } as const;
	return (await authorizer.authorize(user, attributes)).allowed;
}

test('without rules, masters may everything, those who are known may look and ask about themselves, all others nothing', async (t) => {
	const both = chain([masters, everybody]);
	for (const [user, verb, what, allowed] of [
		[master, 'delete', '/secrets', true],
		[ann, 'get', '/pods', false],
		[ann, 'create', 'authorization.k8s.io/selfsubjectaccessreviews', true],
		[ann, 'create', 'authorization.k8s.io/subjectaccessreviews', false],
		[nobody, 'create', 'authorization.k8s.io/selfsubjectaccessreviews', false],
		[nobody, 'get', 'path:/healthz', true],
		[nobody, 'get', 'path:/livez/ping', true],
		[nobody, 'get', 'path:/healthzz', false],
		[nobody, 'get', 'path:/api', false],
		[nobody, 'post', 'path:/version', false],
		[ann, 'get', 'path:/openapi/v3/api/v1', true],
		[ann, 'get', 'path:/metrics', false],
	] as const)
		t.is(await may(both, user, verb, what), allowed, `${user.name} ${verb} ${what}`);
});

test('of several authorizers the first that has an opinion decides, and nobody is asked after a denial', async (t) => {
	const asked: string[] = [];
	const one = (name: string, decision: Decision, later = false): Authorizer => ({
		authorize() {
			asked.push(name);
			return later ? Promise.resolve(decision) : decision;
		},
		rules: () => ({ ...noRules, incomplete: name === 'b' }),
	});
	const none = { allowed: false, reason: '' };
	const look = async (...authorizers: Authorizer[]) => {
		asked.length = 0;
		return chain(authorizers).authorize(ann, { type: 'path', verb: 'get', path: '/' });
	};
	t.like(
		await look(
			one('a', { allowed: false, reason: 'x' }),
			one('b', none, true),
			one('c', { allowed: false, reason: 'y' }),
		),
		{
			allowed: false,
			reason: 'x, y',
		},
	);
	t.deepEqual(asked, ['a', 'b', 'c']);
	t.true((await look(one('a', none, true), one('b', { allowed: true, reason: '' }), one('c', none))).allowed);
	t.deepEqual(asked, ['a', 'b']);
	t.false(
		(
			await look(
				one('a', { allowed: false, denied: true, reason: 'no' }, true),
				one('b', { allowed: true, reason: '' }),
			)
		).allowed,
	);
	t.deepEqual(asked, ['a']);
	t.true((await chain([one('a', none), one('b', none)]).rules(ann, 'x')).incomplete);
});

/** Lets a user do what is listed: `update configmaps`. */
const allowing = (...rights: readonly string[]): Authorizer => ({
	authorize(user, attributes) {
		const asked = attributes.type === 'path' ? '' : `${attributes.verb} ${attributes.resource}`;
		return { allowed: user.name === 'ann' && rights.includes(asked), reason: '' };
	},
	rules: () => ({
		resources: [{ verbs: ['get'], apiGroups: [''], resources: ['configmaps'] }],
		paths: [],
		incomplete: false,
	}),
});

const asAnn = { ...ann, userAgent: 'test' };
const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data: {} };

test('who may update or patch, and not create, creates nothing by an update or an apply either', async (t) => {
	await using opened = await openTestApi({ authorizers: [allowing('update leases', 'patch configmaps')] });
	const { api } = opened;
	const applied = api.patch(
		{ kind: ConfigMap, namespace: 'default', name: 'a' },
		{ type: 'apply', body: map },
		{ fieldManager: 'ann' },
		asAnn,
	);
	const cause = await t.throwsAsync(applied, { instanceOf: ApiError });
	t.is(cause.code, 403);
	t.regex(cause.message, /User "ann" cannot create resource "configmaps" in API group "" in the namespace "default"/);
	const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: 'a' } };
	const updated = api.update({ kind: Lease, namespace: 'default', name: 'a' }, lease, {}, asAnn);
	t.is((await t.throwsAsync(updated, { instanceOf: ApiError })).code, 403);

	await using more = await openTestApi({ authorizers: [allowing('create configmaps', 'patch configmaps')] });
	const made = await more.api.patch(
		{ kind: ConfigMap, namespace: 'default', name: 'a' },
		{ type: 'apply', body: map },
		{ fieldManager: 'ann' },
		asAnn,
	);
	t.true(made.created);
});

test('rights are asked of the authorizers that are there: reviews, rules and impersonation, also by uid and extra', async (t) => {
	await using server = await serveTestApi({
		authorizers: [allowing('get configmaps', 'impersonate users', 'impersonate uids')],
	});
	const as = (headers: Record<string, string>, path = '/api/v1/namespaces/default/configmaps/none') =>
		server.ask(path, { headers: { 'impersonate-user': 'ann', ...headers } });
	t.is((await as({})).code, 404, 'ann may look, and there is none');
	t.is((await as({}, '/api/v1/namespaces/default/secrets/none')).code, 403);
	const review = (spec: object) =>
		server.ask('/apis/authorization.k8s.io/v1/subjectaccessreviews', {
			body: { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec },
		});
	const resourceAttributes = { verb: 'get', resource: 'configmaps', namespace: 'default' };
	t.true((await review({ user: 'ann', resourceAttributes })).body.status.allowed);
	t.false((await review({ user: 'bob', resourceAttributes })).body.status.allowed);
	const rules = await server.ask('/apis/authorization.k8s.io/v1/selfsubjectrulesreviews', {
		headers: { 'impersonate-user': 'ann' },
		body: { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectRulesReview', spec: { namespace: 'default' } },
	});
	t.is(rules.code, 201, rules.text);
	t.deepEqual(rules.body.status.resourceRules.at(-1), { verbs: ['get'], apiGroups: [''], resources: ['configmaps'] });
	const who = await server.ask('/apis/authentication.k8s.io/v1/selfsubjectreviews', {
		headers: {
			'impersonate-user': 'bob',
			'impersonate-uid': '7',
			'impersonate-group': 'team',
			'impersonate-extra-example.com%2fscope': 'all',
		},
		body: { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
	});
	t.deepEqual(who.body.status.userInfo, {
		username: 'bob',
		uid: '7',
		groups: ['team', group],
		extra: { 'example.com/scope': ['all'] },
	});
	t.is((await as({ 'impersonate-extra-%': 'x' })).code, 400);
	t.is((await server.ask('/api/v1/pods', { headers: { 'impersonate-group': 'team' } })).code, 400);
	const account = await server.ask('/apis/authentication.k8s.io/v1/selfsubjectreviews', {
		headers: { 'impersonate-user': 'system:serviceaccount:shop:web' },
		body: { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
	});
	t.deepEqual(account.body.status.userInfo.groups, ['system:serviceaccounts', 'system:serviceaccounts:shop', group]);
});

test('headers that ask for somebody else are read a few times, however many somebody sends who may not', async (t) => {
	const names = Array.from({ length: 2_000 }, (_, index) => `Impersonate-Extra-${index}`);
	const written = [
		'Impersonate-User',
		'ann',
		...names.flatMap((name) => [name, 'x']),
		'Impersonate-Extra-__proto__',
		'y',
	];
	let reads = 0;
	const rawHeaders = new Proxy(written, {
		get(target, key) {
			reads++;
			return Reflect.get(target, key) as unknown;
		},
	});
	const headers = { 'impersonate-user': 'ann', ...Object.fromEntries(names.map((name) => [name.toLowerCase(), 'x'])) };
	const nobody = { name: 'system:anonymous', groups: [] };
	await t.throwsAsync(impersonated({ headers, rawHeaders }, nobody, chain([])), { message: /cannot impersonate/ });
	t.true(reads < 10 * written.length, `${reads} reads of ${written.length}`);
	const all: Authorizer = { authorize: () => ({ allowed: true, reason: '' }), rules: () => noRules };
	const { extra = {} } = await impersonated({ headers, rawHeaders }, nobody, all);
	t.is(Object.keys(extra).length, 2_001, 'whatever its name is');
});

test('over all namespaces objects are listed and watched, and not deleted or created', async (t) => {
	await using server = await serveTestApi();
	await server.ask('/api/v1/namespaces/default/secrets', {
		body: { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'keep' } },
	});
	const removed = await server.ask('/api/v1/secrets', { method: 'DELETE' });
	t.is(removed.code, 405, removed.text);
	t.is((await server.ask('/api/v1/namespaces/default/secrets/keep')).code, 200);
	t.is(
		(await server.ask('/api/v1/configmaps', { body: { ...map, metadata: { name: 'a', namespace: 'default' } } })).code,
		405,
	);
	t.is((await server.ask('/api/v1/secrets?limit=1')).code, 200);
	t.is(
		(await server.ask('/api/v1/nodes', { method: 'DELETE' })).code,
		200,
		'what has no namespace is deleted as before',
	);
});

const pod = (name: string, nodeName: string, spec: object = {}) => ({
	apiVersion: 'v1',
	kind: 'Pod',
	metadata: { name },
	spec: { nodeName, containers: [{ name: 'c', image: 'i' }], ...spec },
});

test('the agent of a node reads what its own pods need and writes what is its own, and nothing of others', async (t) => {
	await using server = await serveTestApi();
	const pair = await server.pki.node('n1');
	const as = { cert: pair.cert, key: pair.key };
	const at = '/api/v1/namespaces/default';
	const make = async (path: string, body: object) => {
		const made = await server.ask(path, { body });
		if (made.code !== 201) throw new Error(made.text);
	};
	for (const name of ['mine', 'pull', 'other', 'env']) {
		await make(`${at}/secrets`, { apiVersion: 'v1', kind: 'Secret', metadata: { name } });
		await make(`${at}/configmaps`, { ...map, metadata: { name } });
	}
	const labelled = (name: string, labels: object) => ({ apiVersion: 'v1', kind: 'Node', metadata: { name, labels } });
	for (const name of ['n1', 'n2']) await make('/api/v1/nodes', labelled(name, { 'given.kubernetes.io/a': 'b' }));
	await make(
		`${at}/pods`,
		pod('own', 'n1', {
			volumes: [{ name: 'v', secret: { secretName: 'mine' } }],
			imagePullSecrets: [{ name: 'pull' }],
			containers: [{ name: 'c', image: 'i', envFrom: [{ configMapRef: { name: 'env' } }] }],
		}),
	);
	await make(`${at}/pods`, pod('foreign', 'n2', { volumes: [{ name: 'v', secret: { secretName: 'other' } }] }));

	const merge = { 'content-type': 'application/merge-patch+json' };
	const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
	const lease = (name: string) => ({ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name } });
	const mirror = {
		...pod('mirror', 'n1', { volumes: [{ name: 'v', secret: { secretName: 'other' } }] }),
		metadata: { name: 'mirror', annotations: { 'kubernetes.io/config.mirror': 'x' } },
	};
	const shows = (node: string, ...owners: string[]) => ({
		...pod('shown', node),
		metadata: {
			name: 'shown',
			annotations: { 'kubernetes.io/config.mirror': 'x' },
			ownerReferences: owners.map((name) => ({
				apiVersion: 'v1',
				kind: 'Node',
				name,
				uid: '00000000-0000-4000-8000-000000000001',
			})),
		},
	});
	// What only shows a static pod gives its node nothing, whoever has made it.
	await make(`${at}/pods`, { ...mirror, metadata: { ...mirror.metadata, name: 'mirrored' } });
	const owner = { apiVersion: 'v1', kind: 'Node', name: 'none', uid: '00000000-0000-4000-8000-000000000000' };
	const cases: readonly [code: number, path: string, method?: string, body?: object][] = [
		[200, `${at}/secrets/mine`],
		[200, `${at}/secrets/pull`],
		[200, `${at}/configmaps/env`],
		[403, `${at}/secrets/other`],
		[403, `${at}/configmaps/mine`],
		[403, `${at}/secrets`],
		[403, '/api/v1/secrets'],
		[200, `${at}/secrets?fieldSelector=metadata.name%3Dmine`],
		[403, `${at}/secrets?fieldSelector=metadata.name%3Dother`],
		[403, `${at}/secrets?fieldSelector=metadata.name%21%3Dother`],
		[403, '/api/v1/pods'],
		[200, '/api/v1/pods?fieldSelector=spec.nodeName%3Dn1'],
		[403, '/api/v1/pods?fieldSelector=spec.nodeName%3Dn2'],
		[200, `${at}/pods/own`],
		[403, `${at}/pods/foreign`],
		[404, `${at}/pods/gone`],
		[200, '/api/v1/namespaces/kube-system/configmaps?fieldSelector=metadata.name%3Dkube-dns'],
		[403, '/api/v1/namespaces/kube-system/configmaps?fieldSelector=metadata.name%3Dother'],
		[200, '/api/v1/services'],
		[200, '/api/v1/nodes'],
		[403, `${at}/secrets`, 'POST', { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'x' } }],
		[200, `${at}/pods/own/status`, 'PATCH', { status: { phase: 'Running' } }],
		[403, `${at}/pods/foreign/status`, 'PATCH', { status: { phase: 'Failed' } }],
		[403, `${at}/pods/foreign`, 'DELETE'],
		[403, `${at}/pods`, 'POST', pod('new', 'n1')],
		[403, `${at}/pods`, 'POST', mirror],
		[403, `${at}/pods`, 'POST', shows('n2', 'n1')],
		[403, `${at}/pods`, 'POST', shows('n1', 'n2')],
		[403, `${at}/pods`, 'POST', shows('n1')],
		[201, `${at}/pods`, 'POST', shows('n1', 'n1')],
		[403, `${at}/secrets/other`],
		[403, `${at}/pods/own/status`, 'PATCH', { metadata: { labels: { app: 'of-others' } } }],
		[403, leases, 'POST', lease('n2')],
		[403, `${leases}/n2`, 'PUT', lease('n2')],
		[201, leases, 'POST', lease('n1')],
		[200, `${leases}/n1`, 'PATCH', { spec: { holderIdentity: 'n1' } }],
		[403, '/api/v1/nodes', 'POST', { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n3' } }],
		[200, '/api/v1/nodes/n1/status', 'PATCH', { status: { phase: 'Running' } }],
		[403, '/api/v1/nodes/n2/status', 'PATCH', { status: { phase: 'Running' } }],
		[403, '/api/v1/nodes/n1', 'PATCH', { spec: { podCIDR: '0.0.0.0/0', podCIDRs: ['0.0.0.0/0'] } }],
		[403, '/api/v1/nodes/n1', 'PATCH', { metadata: { labels: { 'x.node-restriction.kubernetes.io/a': 'b' } } }],
		[403, '/api/v1/nodes/n1', 'PATCH', { metadata: { labels: { 'node-role.kubernetes.io/control-plane': '' } } }],
		[403, '/api/v1/nodes/n1/status', 'PATCH', { metadata: { labels: { 'k8s.io/a': 'b' } } }],
		[403, '/api/v1/nodes/n1', 'PATCH', { metadata: { labels: { 'given.kubernetes.io/a': null } } }],
		[200, '/api/v1/nodes/n1', 'PATCH', { metadata: { labels: { 'given.kubernetes.io/a': 'b' } } }],
		[200, '/api/v1/nodes/n1', 'PATCH', { metadata: { labels: { 'topology.kubernetes.io/zone': 'z' } } }],
		[200, '/api/v1/nodes/n1', 'PATCH', { metadata: { labels: { 'a.node.kubernetes.io/b': 'c' } } }],
		[403, '/api/v1/nodes', 'POST', labelled('n1', { 'node-role.kubernetes.io/a': '' })],
		[403, '/api/v1/nodes/n1', 'PATCH', { spec: { taints: [{ key: 'a', effect: 'NoSchedule' }] } }],
		[200, '/api/v1/nodes/n1', 'PATCH', { metadata: { labels: { 'example.com/a': 'b' } } }],
		[403, '/api/v1/nodes/n1', 'PATCH', { metadata: { ownerReferences: [owner] } }],
		[403, '/api/v1/nodes/n1/status', 'PATCH', { metadata: { ownerReferences: [owner] } }],
		[403, '/api/v1/nodes/n1', 'DELETE'],
		[200, `${at}/pods/own?gracePeriodSeconds=0`, 'DELETE'],
	];
	for (const [code, path, method, body] of cases) {
		const answer = await server.ask(path, { as, method, body, headers: method === 'PATCH' ? merge : {} });
		t.is(answer.code, code, `${method ?? 'GET'} ${path}: ${answer.text.slice(0, 300)}`);
	}
	t.is((await server.ask(`${at}/secrets/mine`, { as })).code, 403, 'the pod that needed it has gone');
});

test('two nodes cannot have one range of pods', async (t) => {
	await using server = await serveTestApi();
	const node = (name: string) => ({
		apiVersion: 'v1',
		kind: 'Node',
		metadata: { name },
		spec: { podCIDRs: ['10.1.0.0/24'] },
	});
	const races = await Promise.all(
		Array.from({ length: 16 }, (_, i) => server.ask('/api/v1/nodes', { body: node(`n${i}`) })),
	);
	t.deepEqual(races.map(({ code }) => code).toSorted(), [201, ...Array(15).fill(409)]);
	const [made] = races.filter(({ code }) => code === 201);
	const lost = races.find(({ code }) => code === 409)?.text ?? '';
	t.true(lost.includes(`belongs to nodes \\"${made?.body.metadata.name}\\" already`), lost);
	await server.ask(`/api/v1/nodes/${made?.body.metadata.name}`, { method: 'DELETE' });
	t.is((await server.ask('/api/v1/nodes', { body: node('later') })).code, 201, 'what is free is given again');
});

test('a range of pods is a range, named once, and is the same in both fields of a node', async (t) => {
	await using server = await serveTestApi();
	const make = (name: string, spec: object) =>
		server.ask('/api/v1/nodes', { body: { apiVersion: 'v1', kind: 'Node', metadata: { name }, spec } });
	t.is((await make('n1', { podCIDRs: ['10.1.0.0/24', '10.1.0.0/24'] })).code, 422);
	t.is((await make('n1', { podCIDR: 'any words' })).code, 422);
	t.is((await make('n1', { podCIDR: '10.1.0.0/24', podCIDRs: ['10.2.0.0/24'] })).code, 422);
	const one = await make('n1', { podCIDR: '10.1.0.0/24' });
	t.deepEqual(one.body.spec.podCIDRs, ['10.1.0.0/24'], one.text);
	const other = await make('n2', { podCIDRs: ['10.2.0.0/24'] });
	t.is(other.body.spec.podCIDR, '10.2.0.0/24', other.text);
	t.is((await make('n3', { podCIDR: '10.2.0.0/24' })).code, 409);
	t.is((await make('n3', { podCIDR: '10.2.0.5/24' })).code, 409, 'the same range, written in another way');
	const merge = { 'content-type': 'application/merge-patch+json' };
	const patch = (spec: object) => server.ask('/api/v1/nodes/n1', { method: 'PATCH', headers: merge, body: { spec } });
	t.is((await patch({ podCIDR: '10.3.0.0/24' })).code, 422);
	t.is((await patch({ podCIDR: '10.3.0.0/24', podCIDRs: null })).code, 422);
	t.is((await patch({ podCIDR: null, podCIDRs: null })).body.spec.podCIDR, '10.1.0.0/24', 'what it has it keeps');
});

test('admission is asked about deletes, bindings, evictions and connections, and sees what it is about', async (t) => {
	const seen: string[] = [];
	const first: string[] = [];
	const watching = {
		name: 'Watching',
		handles: () => true,
		mutate({ operation, kind, subresource, name }: AdmissionRequest): Mutation {
			if (kind.plural === 'pods') first.push(`${operation} ${subresource ?? '-'} ${name}`);
			return 'nothing';
		},
		validate({ operation, kind, subresource, name, object, old }: AdmissionRequest) {
			if (kind.plural === 'pods')
				seen.push(
					`${operation} ${subresource ?? '-'} ${name} ${object ? object.kind : 'nothing'} ${old ? 'was there' : 'was not'}`,
				);
			if (name === 'kept' && operation === 'DELETE') throw new ApiError(403, 'Forbidden', 'it stays');
		},
	};
	await using opened = await openTestApi({ admission: [watching] });
	const { api } = opened;
	const Pod = api.registry.resource('', 'v1', 'pods') as Kind;
	const target = (name: string) => ({ kind: Pod, namespace: 'default', name });
	for (const name of ['p', 'kept']) {
		const { spec, ...rest } = pod(name, '');
		const body = { ...rest, spec: { containers: spec.containers } } as unknown as Dynamic;
		await api.create({ kind: Pod, namespace: 'default' }, body, {}, admin);
	}
	const binding = { apiVersion: 'v1', kind: 'Binding', metadata: { name: 'p' }, target: { kind: 'Node', name: 'n1' } };
	await api.create({ ...target('p'), subresource: 'binding' }, binding, {}, admin);
	await api.connect(target('p'), 'exec', { command: 'ls' }, admin);
	const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'p' } };
	await api.create({ ...target('p'), subresource: 'eviction' }, eviction, {}, admin);
	t.is((await t.throwsAsync<ApiError>(api.delete(target('kept'), {}, admin))).message, 'it stays');
	t.deepEqual(seen, [
		'CREATE - p Pod was not',
		'CREATE - kept Pod was not',
		'CREATE binding p Binding was not',
		'CONNECT exec p PodOptions was not',
		'CREATE eviction p Eviction was not',
		'DELETE - p nothing was there',
		'DELETE - kept nothing was there',
	]);
	t.deepEqual(
		first,
		seen.map((each) => each.split(' ').slice(0, 3).join(' ')),
		'both phases are asked, of what has nothing to change as well',
	);
});

test('what a plugin fills in gets its defaults and is checked, and nobody owns it', async (t) => {
	const sidecar = {
		name: 'Sidecar',
		handles: ({ operation, kind, subresource }: AdmissionRequest) =>
			operation === 'CREATE' && kind.plural === 'pods' && !subresource,
		mutate({ object, name }: AdmissionRequest): Mutation {
			const spec = object?.spec as { containers: object[] };
			spec.containers.push({ name: 'proxy', ...(name !== 'bad' && { image: 'proxy:1' }) });
			return 'changed';
		},
	};
	await using opened = await openTestApi({ admission: [sidecar] });
	const { api } = opened;
	const Pod = api.registry.resource('', 'v1', 'pods') as Kind;
	const make = async (name: string) =>
		(await api.create({ kind: Pod, namespace: 'default' }, pod(name, 'n1'), { fieldManager: 'me' }, admin))
			.object as Dynamic;
	const made = await make('good');
	t.like((made.spec as { containers: object[] }).containers[1], {
		name: 'proxy',
		imagePullPolicy: 'IfNotPresent',
		terminationMessagePath: '/dev/termination-log',
	});
	t.false(JSON.stringify(made.metadata.managedFields).includes('proxy'));
	t.regex((await t.throwsAsync(make('bad'))).message, /spec\.containers\[1\]\.image/);
});

test('a plugin that waits for somebody holds up no other writer of the object, and sees what they wrote', async (t) => {
	const asked: string[] = [];
	const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
	const slow = {
		name: 'Slow',
		handles: ({ kind, subresource }: AdmissionRequest) => kind.plural === 'pods' && !subresource,
		waits: ({ operation, subresource }: Pick<AdmissionRequest, 'operation' | 'subresource'>) =>
			operation === 'UPDATE' && !subresource,
		async mutate({ operation, object, old }: AdmissionRequest): Promise<Mutation> {
			if (operation !== 'UPDATE' || !object) return 'nothing';
			const { phase } = (old as Dynamic).status as { phase: string };
			asked.push(`${phase} ${object.metadata.labels?.seen ?? 'anew'}`);
			object.metadata.labels = { ...object.metadata.labels, seen: 'yes' };
			gates[0]?.resolve();
			await gates[1]?.promise;
			return 'changed';
		},
	};
	await using opened = await openTestApi({ admission: [slow] });
	const { api } = opened;
	const Pod = api.registry.resource('', 'v1', 'pods') as Kind;
	const target = { kind: Pod, namespace: 'default', name: 'p' };
	await api.create({ kind: Pod, namespace: 'default' }, pod('p', 'n1'), {}, admin);
	const updated = api.patch(target, { type: 'merge', body: { metadata: { labels: { a: 'b' } } } }, {}, admin);
	await gates[0]?.promise;
	await api.patch(
		{ ...target, subresource: 'status' },
		{ type: 'merge', body: { status: { phase: 'Running' } } },
		{},
		admin,
	);
	gates[1]?.resolve();
	const { object } = await updated;
	t.deepEqual(asked, ['Pending anew', 'Running anew']);
	t.like(object, { metadata: { labels: { a: 'b', seen: 'yes' } }, status: { phase: 'Running' } });
});

test('a subresource is served where its kind has it and by its own verbs, and discovery says the same', async (t) => {
	await using server = await serveTestApi();
	const { body } = await server.ask('/api/v1');
	const listed = (body.resources as { name: string; verbs: string[] }[]).filter(({ name }) => name.startsWith('pods/'));
	t.deepEqual(
		listed.map(({ name, verbs }) => `${name} ${verbs.join(',')}`),
		[
			'pods/attach create,get',
			'pods/binding create',
			'pods/ephemeralcontainers get,patch,update',
			'pods/eviction create',
			'pods/exec create,get',
			'pods/log get',
			'pods/portforward create,get',
			'pods/resize get,patch,update',
			'pods/status get,patch,update',
		],
	);
	const at = '/api/v1/namespaces/default';
	await server.ask(`${at}/pods`, { body: pod('p', 'n1') });
	t.is((await server.ask(`${at}/pods/p/nothing`)).code, 404);
	t.is((await server.ask(`${at}/pods/p/scale`)).code, 404);
	t.is((await server.ask(`${at}/pods/p/toString`)).code, 404);
	t.is((await server.ask(`${at}/pods/p/exec`, { method: 'POST' })).code, 400);
	t.is((await server.ask(`${at}/configmaps/x/status`)).code, 404);
	t.is((await server.ask(`${at}/pods/p/status`)).code, 200);
});

test('a kind that happens to be called Namespace is deleted as any other', async (t) => {
	const Space = kind({
		group: 'example.com',
		version: 'v1',
		kind: 'Namespace',
		plural: 'namespaces',
		schema: 'com.example.Space',
		schemas: { 'com.example.Space': { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
		propagation: 'Orphan',
	}) as unknown as Kind;
	const registry = loadRegistry();
	registry.add(Space);
	await using opened = await openTestApi({ registry });
	const { api } = opened;
	const target = { kind: Space, namespace: 'default', name: 'default' };
	const body = {
		apiVersion: 'example.com/v1',
		kind: 'Namespace',
		metadata: { name: 'default' },
		spec: { finalizers: ['kubernetes'] },
	};
	await api.create({ kind: Space, namespace: 'default' }, body, {}, admin);
	const left = await api.delete(target, {}, admin);
	t.false(left.gone);
	t.deepEqual(left.stored.object.metadata.finalizers, ['orphan'], 'what its kind says of those it owns');
	t.is((left.stored.object as Dynamic).status, undefined, 'and nothing of a phase');
	const gone = await api.delete(target, { propagationPolicy: 'Background' }, admin);
	t.true(gone.gone);
});

test('what cannot be listed of the rights of a node is told with a reason, which kubectl auth can-i --list shows', async (t) => {
	await using server = await serveTestApi();
	const { body } = await server.ask('/apis/authorization.k8s.io/v1/selfsubjectrulesreviews', {
		headers: { 'impersonate-user': 'system:node:n1', 'impersonate-group': 'system:nodes' },
		body: { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectRulesReview', spec: { namespace: 'default' } },
	});
	t.true(body.status.incomplete);
	t.is(body.status.evaluationError, 'what depends on the object asked for is not listed');
});
