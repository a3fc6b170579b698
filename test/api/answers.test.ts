/** What clients ask beside objects, and in which form they get it. */
import test from 'ava';
import { type Ask, serveTestApi } from '../testbed/api.ts';
import { configMap, deployment, pod, service } from './objects.ts';

const server = await serveTestApi();
test.after.always(() => server[Symbol.asyncDispose]());
const ask = (path: string, how?: Ask) => server.ask(path, how);
const core = '/api/v1/namespaces/default';
const apps = '/apis/apps/v1/namespaces/default/deployments';
const table = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' };
const apply = { 'content-type': 'application/apply-patch+yaml' };

test('a review is answered as it is, and no table is made of it', async (t) => {
	const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
	const body = { spec: { resourceAttributes: { verb: 'get', resource: 'pods' } } };
	t.is((await ask(path, { body })).body.status.allowed, true);
	const refused = await ask(path, { body, headers: table });
	t.deepEqual([refused.code, refused.body.reason], [406, 'NotAcceptable']);
	t.is((await ask(path, { body, headers: { accept: `${table.accept},application/json` } })).code, 201);
});

test('reviews are found by discovery, and are answered where they lie', async (t) => {
	const group = '/apis/authorization.k8s.io/v1';
	t.true((await ask(group)).body.resources.some(({ kind }: { kind: string }) => kind === 'SubjectAccessReview'));
	const local = `${group}/namespaces/default/localsubjectaccessreviews`;
	const about = (namespace: string) => ({
		spec: { user: 'ann', resourceAttributes: { verb: 'get', resource: 'pods', namespace } },
	});
	const answer = await ask(local, { body: about('default') });
	t.is(answer.code, 201, answer.text);
	t.like(answer.body, { kind: 'LocalSubjectAccessReview', status: { allowed: false } });
	t.regex((await ask(local, { body: about('other') })).body.message, /must match namespace: default/);
	t.is((await ask(`${group}/localsubjectaccessreviews`, { body: about('default') })).code, 404);
	t.is((await ask(`${group}/namespaces/default/subjectaccessreviews`, { body: about('default') })).code, 404);
	const tokens = '/apis/authentication.k8s.io/v1/tokenreviews';
	const unknown = await ask(tokens, { body: { spec: { token: 'nobody has it' } } });
	t.deepEqual([unknown.code, unknown.body.status], [201, { user: {} }]);
	t.is((await ask(tokens, { body: { spec: {} } })).code, 400);
});

test('health is told check by check, and checks can be left out', async (t) => {
	for (const path of ['/readyz/store', '/livez/ping', '/healthz/ping']) t.is((await ask(path)).text, 'ok', path);
	t.is((await ask('/livez/ping', { as: 'nobody' })).code, 200);
	t.is((await ask('/readyz/nope')).code, 404);
	t.is(
		(await ask('/livez?verbose&exclude=ping&exclude=nope')).text,
		'[+]ping excluded: ok\nwarn: some health checks cannot be excluded: no matches for "nope"\nlivez check passed\n',
	);
});

test('the address of the server is the one that the client has reached', async (t) => {
	const [{ serverAddress }] = (await ask('/api')).body.serverAddressByClientCIDRs;
	t.is(serverAddress, `127.0.0.1:${server.served.port}`);
});

test('what does not upgrade is answered as if it had not been asked to', async (t) => {
	const headers = { connection: 'Upgrade', upgrade: 'websocket' };
	t.is((await ask('/healthz', { headers })).text, 'ok');
	t.is((await ask(`${core}/configmaps`, { headers })).body.kind, 'ConfigMapList');
	t.is((await ask(`${core}/pods/nope/exec`, { headers })).code, 404);
});

test('YAML answers read the same by every version of YAML', async (t) => {
	await ask(`${core}/configmaps`, { body: configMap('words', { a: 'yes', b: '2026-01-01', c: '017' }) });
	const { text } = await ask(`${core}/configmaps/words`, { headers: { accept: 'application/yaml' } });
	for (const line of ['  a: "yes"', '  b: "2026-01-01"', '  c: "017"']) t.true(text.includes(`${line}\n`), text);
	t.regex(text, /creationTimestamp: "\d/);
});

test('a 404 has details, into which some clients look without asking', async (t) => {
	t.deepEqual((await ask(`${core}/pods/p/nothing`)).body.details, {});
});

test('a Scale has a table of its own', async (t) => {
	await ask(apps, { body: deployment('tabular', 3) });
	const { body } = await ask(`${apps}/tabular/scale`, { headers: table });
	t.deepEqual(
		body.columnDefinitions.map(({ name }: { name: string }) => name),
		['Name', 'Desired', 'Available', 'Age'],
	);
	t.deepEqual(body.rows[0].cells.slice(0, 3), ['tabular', 3, 0]);
});

test('a Scale is applied: its replicas have an owner, whom others do not overrule', async (t) => {
	await ask(`${apps}/scaled?fieldManager=git`, { method: 'PATCH', body: deployment('scaled', 1), headers: apply });
	const scale = { apiVersion: 'autoscaling/v1', kind: 'Scale', metadata: { name: 'scaled' }, spec: { replicas: 4 } };
	const by = (query: string, body: object = scale) =>
		ask(`${apps}/scaled/scale?fieldManager=scaler${query}`, { method: 'PATCH', body, headers: apply });
	t.regex((await by('')).body.message, /conflict with "git": \.spec\.replicas/);
	const forced = await by('&force=true');
	t.is(forced.code, 200, forced.text);
	t.like(forced.body, { kind: 'Scale', spec: { replicas: 4 } });
	const { metadata, spec } = (await ask(`${apps}/scaled`)).body;
	t.is(spec.replicas, 4);
	const owner = metadata.managedFields.find(({ manager }: { manager: string }) => manager === 'scaler');
	t.like(owner, { operation: 'Apply', subresource: 'scale', fieldsV1: { 'f:spec': { 'f:replicas': {} } } });
	t.is((await by('', deployment('scaled'))).code, 400);
});

test('an applied configuration with a field that nobody could own is refused, and the field named', async (t) => {
	const { spec, ...rest } = deployment('typo', 1);
	const [container] = spec.template.spec.containers;
	const template = { ...spec.template, spec: { containers: [{ ...container, imagee: 'x' }] } };
	const body = { ...rest, metadata: { name: 'typo', namespace: 'default' }, spec: { ...spec, template } };
	const by = (query: string) => ask(`${apps}/typo?fieldManager=me${query}`, { method: 'PATCH', body, headers: apply });
	for (const query of ['', '&fieldValidation=Strict'])
		t.is(
			(await by(query)).body.message,
			'failed to create typed patch object (default/typo; apps/v1, Kind=Deployment): .spec.template.spec.containers[name="main"].imagee: field not declared in schema',
		);
	t.is((await by('&fieldValidation=Ignore')).code, 201);
});

test('fields that occur twice are found in patches as well', async (t) => {
	await ask(`${core}/configmaps`, { body: configMap('twice') });
	const by = (validation: string) =>
		ask(`${core}/configmaps/twice?fieldValidation=${validation}`, {
			method: 'PATCH',
			body: '{"data":{"a":"1","a":"2"}}',
			headers: { 'content-type': 'application/merge-patch+json' },
		});
	t.regex((await by('Strict')).body.message, /strict decoding error: duplicate field "data.a"/);
	t.is((await by('Warn')).headers.warning, '299 - "duplicate field \\"data.a\\""');
});

test('a PUT creates what may be created so, and overwrites what may be overwritten', async (t) => {
	const endpoints = { apiVersion: 'v1', kind: 'Endpoints', metadata: { name: 'put' } };
	const put = (path: string, body: object) => ask(path, { method: 'PUT', body });
	t.is((await put(`${core}/endpoints/put`, endpoints)).code, 201);
	t.is((await put(`${core}/endpoints/put`, endpoints)).code, 200);
	const leases = '/apis/coordination.k8s.io/v1/namespaces/default/leases';
	const lease = (resourceVersion?: string) => ({ metadata: { name: 'put', resourceVersion }, spec: {} });
	t.is((await put(`${leases}/put?dryRun=All`, lease())).code, 201);
	t.is((await put(`${leases}/put`, lease('1'))).code, 404, 'a state of what is not there');
	const made = await put(`${leases}/put`, lease());
	t.is(made.code, 201);
	const blind = await put(`${leases}/put`, lease());
	t.is(blind.code, 422);
	t.is(
		blind.body.message,
		'Lease.coordination.k8s.io "put" is invalid: metadata.resourceVersion: Invalid value: 0x0: must be specified for an update',
	);
	t.is((await put(`${leases}/put`, lease(made.body.metadata.resourceVersion))).code, 200);
	t.is((await put(`${core}/configmaps/never`, configMap('never'))).code, 404);
});

test('a delete of a pod, a service or an account answers with it; namespaces go one by one', async (t) => {
	for (const [plural, body] of [
		['pods', pod('last')],
		['services', service('last')],
		['serviceaccounts', { metadata: { name: 'last' } }],
	] as const) {
		await ask(`${core}/${plural}`, { body });
		const gone = await ask(`${core}/${plural}/last`, { method: 'DELETE' });
		t.is(gone.body.metadata.name, 'last', plural);
	}
	t.is((await ask('/api/v1/namespaces', { method: 'DELETE' })).code, 405);
});

test('an eviction takes its delete options as a delete does', async (t) => {
	await ask(`${core}/pods`, { body: pod('evicted') });
	const evict = (deleteOptions: object) =>
		ask(`${core}/pods/evicted/eviction`, {
			body: { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'evicted' }, deleteOptions },
		});
	t.is((await evict({ propagationPolicy: 'Perhaps' })).code, 422);
	t.is((await evict({ preconditions: { uid: 'another' } })).code, 409);
	t.is((await evict({ dryRun: ['All'] })).code, 201);
	t.is((await ask(`${core}/pods/evicted`)).code, 200);
	t.is((await evict({ dryRun: [] })).code, 201);
	t.is((await ask(`${core}/pods/evicted`)).code, 404);
});

test('a write of the status takes labels and annotations along, but for custom resources', async (t) => {
	await ask(apps, { body: deployment('noted') });
	const body = { metadata: { annotations: { note: 'x' } }, spec: { replicas: 9 }, status: { replicas: 2 } };
	const headers = { 'content-type': 'application/merge-patch+json' };
	const patched = (await ask(`${apps}/noted/status`, { method: 'PATCH', body, headers })).body;
	t.like(patched, { metadata: { annotations: { note: 'x' } }, spec: { replicas: 1 }, status: { replicas: 2 } });
	const applications = '/apis/argoproj.io/v1alpha1/namespaces/default/applications';
	const spec = { project: 'default', source: { repoURL: 'https://example.com/a.git' }, destination: {} };
	const made = await ask(applications, { body: { metadata: { name: 'noted' }, spec } });
	t.is(made.code, 201, made.text);
	const of = { method: 'PATCH', body: { ...body, spec: {}, status: { message: 'm' } }, headers };
	const kept = (await ask(`${applications}/noted/status`, of)).body;
	t.is(kept.metadata.annotations, undefined);
});

test('what the server fills in at a create belongs to nobody', async (t) => {
	const { metadata, spec } = (await ask(`${core}/services`, { body: service('owned') })).body;
	t.truthy(spec.clusterIP);
	const fields = Object.keys(metadata.managedFields[0].fieldsV1['f:spec']);
	t.true(fields.includes('f:ports'));
	t.deepEqual(
		fields.filter((field) => /cluster|ipFamil/.test(field)),
		[],
	);
});

test('a pod that gets its node keeps its generation', async (t) => {
	await ask(`${core}/pods`, { body: pod('bound') });
	await ask(`${core}/pods/bound/binding`, { body: { target: { kind: 'Node', name: 'n1' } } });
	const { metadata, spec } = (await ask(`${core}/pods/bound`)).body;
	t.deepEqual([spec.nodeName, metadata.generation], ['n1', 1]);
});

test('what is hardly meant so is accepted with a warning, each said once', async (t) => {
	const warnings = ({ headers }: { headers: NodeJS.Dict<string | string[]> }) =>
		String(headers.warning ?? '')
			.split(/, (?=299 )/)
			.filter(Boolean);
	const env = [
		{ name: 'A', value: '1' },
		{ name: 'A', value: '2' },
	];
	const ports = [{ containerPort: 80 }, { containerPort: 80 }];
	const resources = { limits: { memory: '0.5' } };
	const body = pod('odd.one', {
		nodeSelector: { 'beta.kubernetes.io/os': 'linux' },
		containers: [{ name: 'main', image: 'example/app:1', env, ports, resources }],
	});
	const found = warnings(await ask(`${core}/pods?dryRun=All`, { body }));
	const expected = [
		/metadata\.name: this is used in the Pod's hostname/,
		/spec\.nodeSelector\[beta\.kubernetes\.io\/os\]: deprecated since v1\.14; use \\"kubernetes\.io\/os\\" instead/,
		/spec\.containers\[0\]\.env\[1\]: hides previous definition of \\"A\\", which may be dropped when using apply/,
		/spec\.containers\[0\]\.ports\[1\]: duplicate port definition with spec\.containers\[0\]\.ports\[0\]/,
		/limits\[memory\]: fractional byte value \\"500m\\" is invalid/,
		/requests\[memory\]: fractional/,
	];
	for (const [index, one] of expected.entries()) t.regex(found[index] ?? '', one);
	t.is(found.length, expected.length);

	const { spec, ...rest } = deployment('odd');
	const template = { ...spec.template, spec: { containers: [{ name: 'main', image: 'example/app:1', env }] } };
	const made = await ask(apps, { body: { ...rest, spec: { ...spec, template } } });
	t.regex(warnings(made)[0] ?? '', /spec\.template\.spec\.containers\[0\]\.env\[1\]: hides previous definition/);
	const headers = { 'content-type': 'application/merge-patch+json' };
	const labelled = { method: 'PATCH', body: { metadata: { labels: { a: 'b' } } }, headers };
	t.deepEqual(warnings(await ask(`${apps}/odd`, labelled)), [], 'the template has not changed');
});

test('a finalizer of a custom resource without a path is warned of while it is new', async (t) => {
	const applications = '/apis/argoproj.io/v1alpha1/namespaces/default/applications';
	const spec = { project: 'default', source: { repoURL: 'https://example.com/a.git' }, destination: {} };
	const metadata = { name: 'final', finalizers: ['resources-finalizer.argocd.argoproj.io'] };
	const made = await ask(applications, { body: { metadata, spec } });
	t.regex(String(made.headers.warning), /prefer a domain-qualified finalizer name including a path/);
	const headers = { 'content-type': 'application/merge-patch+json' };
	const body = { metadata: { labels: { a: 'b' } } };
	t.is((await ask(`${applications}/final`, { method: 'PATCH', body, headers })).headers.warning, undefined);
});
