/** What the API promises on every store: run on SQLite by semantics.test.ts, on etcd by etcd.test.ts. */
import type { ExecutionContext, TestFn } from 'ava';
import { type Api, openApi } from '../../src/api/index.ts';
import { draft, storageKey } from '../../src/api/storage.ts';
import {
	ApiError,
	ConfigMap,
	Deployment,
	type KubeObject,
	loadRegistry,
	Namespace,
	Pod,
	Service,
	ServiceAccount,
} from '../../src/kinds/index.ts';
import type { Store } from '../../src/store/index.ts';
import { admin, openTestApi } from '../testbed/api.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { configMap, deployment, names, pod, service, take, textOf } from './objects.ts';

const ns = 'default';
const maps = { kind: ConfigMap, namespace: ns };
const pods = { kind: Pod, namespace: ns };

/** The Status of a refusal: its code, reason and message. */
async function refused(
	t: ExecutionContext,
	call: Promise<unknown>,
	code: number,
	message: RegExp | string,
): Promise<ApiError> {
	const error = await t.throwsAsync(call, { instanceOf: ApiError });
	t.is(error?.status.code, code, error?.message);
	if (typeof message === 'string') t.is(error?.message, message);
	else t.regex(error?.message ?? '', message);
	return error as ApiError;
}

/** Every key of the store with the revision that wrote it last. A store may share its revisions with others. */
const written = async (store: Store) =>
	(await store.list('/registry/')).entries
		.filter(({ key }) => key !== '/registry/progress')
		.map(({ key, modified }) => `${key} ${modified}`);

export function semantics(test: TestFn, openStore: () => Promise<Store | undefined>): void {
	const it = (title: string, body: (t: ExecutionContext, api: Api, store: Store) => Promise<void>) =>
		test(title, async (t) => {
			const given = await openStore();
			await using opened = await openTestApi(given ? { store: given } : {});
			await body(t, opened.api, opened.store);
		});

	it('a created object has identity, defaults and owners of its fields, and is read back as it is', async (t, api) => {
		const made = await api.create(pods, pod('p'), {}, admin);
		const { metadata, spec, status } = made.object;
		t.regex(metadata.uid ?? '', /^[0-9a-f-]{36}$/);
		t.regex(metadata.creationTimestamp ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
		t.is(metadata.namespace, ns);
		t.is(metadata.resourceVersion, String(made.revision));
		t.is(metadata.managedFields?.[0]?.manager, 'test');
		t.is(spec.restartPolicy, 'Always');
		t.is(spec.serviceAccountName, 'default');
		t.is(status?.phase, 'Pending');
		const read = await api.get({ ...pods, name: 'p' }, {}, admin);
		t.is(read.object, made.object, 'the same frozen object, without a copy');
		t.is(textOf(read.bytes), textOf(made.bytes));
		t.deepEqual(JSON.parse(textOf(read.bytes)), read.object);
		t.true(Object.isFrozen(read.object.spec.containers[0]));
	});

	it('a pod tolerates a node that is not ready for five minutes, unless it says otherwise', async (t, api) => {
		const tolerations = async (name: string, given: readonly object[]) => {
			const { object } = await api.create(pods, pod(name, { tolerations: given }), {}, admin);
			return object.spec.tolerations?.map(({ key, tolerationSeconds }) => `${key ?? '*'} ${tolerationSeconds ?? ''}`);
		};
		const [notReady, unreachable] = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'];
		t.deepEqual(await tolerations('a', []), [`${notReady} 300`, `${unreachable} 300`]);
		t.deepEqual(
			await tolerations('b', [{ key: notReady, operator: 'Exists', tolerationSeconds: 5, effect: 'NoExecute' }]),
			[`${notReady} 5`, `${unreachable} 300`],
		);
		t.deepEqual(await tolerations('c', [{ operator: 'Exists' }]), ['* ']);
		// Applied again, a list that names others only takes nothing away.
		const target = { ...pods, name: 'd' };
		const body = { ...pod('d', { tolerations: [{ key: 'mine', operator: 'Exists' }] }), apiVersion: 'v1', kind: 'Pod' };
		const apply = () => api.patch(target, { type: 'apply', body }, { fieldManager: 'sync' }, admin);
		const first = await apply();
		t.is(first.object.spec.tolerations?.length, 3);
		t.is((await apply()).revision, first.revision);
	});

	it('a pod gets the pull secrets of its service account, where it names none', async (t, api) => {
		const accounts = { kind: ServiceAccount, namespace: ns };
		const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default' } };
		await api.create(accounts, { ...account, imagePullSecrets: [{ name: 'registry' }] }, {}, admin);
		const plain = await api.create(pods, pod('plain'), {}, admin);
		t.deepEqual(plain.object.spec.imagePullSecrets, [{ name: 'registry' }]);
		const own = await api.create(pods, pod('own', { imagePullSecrets: [{ name: 'mine' }] }), {}, admin);
		t.deepEqual(own.object.spec.imagePullSecrets, [{ name: 'mine' }]);
	});

	it('a pod whose service account is not there is refused, and taken when it is', async (t, api) => {
		const wish = pod('early', { serviceAccountName: 'builder' });
		const message =
			'pods "early" is forbidden: error looking up service account default/builder: serviceaccount "builder" not found';
		await refused(t, api.create(pods, wish, {}, admin), 403, message);
		const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'builder' } };
		await api.create({ kind: ServiceAccount, namespace: ns }, account, {}, admin);
		t.is((await api.create(pods, wish, {}, admin)).object.spec.serviceAccountName, 'builder');
		// That of every namespace comes by itself.
		t.is((await api.create(pods, pod('plain'), {}, admin)).object.spec.serviceAccountName, 'default');
	});

	it('a pod has the priority of its class, and none of a class that is not there', async (t, api) => {
		const of = (name: string, spec: Record<string, unknown>) => api.create(pods, pod(name, spec), {}, admin);
		const message = 'pods "urgent" is forbidden: no PriorityClass with name gold was found';
		await refused(t, of('urgent', { priorityClassName: 'gold' }), 403, message);
		const critical = await of('critical', { priorityClassName: 'system-node-critical' });
		t.is(critical.object.spec.priority, 2_000_001_000);
		const without = of('without', { priority: 2_000_000_000 });
		await refused(t, without, 403, /integer value of priority \(2000000000\) must not be provided.* computed 0 from/);
		await of('usual', { priority: 0 });
		const own = of('own', { priorityClassName: 'system-cluster-critical', priority: 5 });
		await refused(t, own, 403, /integer value of priority \(5\) must not be provided.* computed 2000000000 from/);
	});

	it('a pod that asks for a runtime that is not there is refused', async (t, api) => {
		const wish = pod('sandboxed', { runtimeClassName: 'gvisor' });
		const message = 'pods "sandboxed" is forbidden: pod rejected: RuntimeClass "gvisor" not found';
		await refused(t, api.create(pods, wish, {}, admin), 403, message);
	});

	it('a generated name is the base and five characters, another one each time', async (t, api) => {
		const generated = { ...configMap(''), metadata: { generateName: 'a-' } };
		const made = await Promise.all(Array.from({ length: 20 }, () => api.create(maps, generated, {}, admin)));
		for (const { object } of made) t.regex(object.metadata.name, /^a-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
		t.is(new Set(names(made)).size, 20);
	});

	it('what may not be created is refused with the reason', async (t, api) => {
		await api.create(maps, configMap('a'), {}, admin);
		await refused(t, api.create(maps, configMap('a'), {}, admin), 409, 'configmaps "a" already exists');
		await refused(
			t,
			api.create(maps, configMap('A_b'), {}, admin),
			422,
			/^ConfigMap "A_b" is invalid: metadata.name: Invalid value/,
		);
		await refused(t, api.create(maps, { metadata: {} }, {}, admin), 422, /name or generateName is required/);
		await refused(
			t,
			api.create({ ...maps, namespace: 'nowhere' }, configMap('a'), {}, admin),
			404,
			'namespaces "nowhere" not found',
		);
		await refused(
			t,
			api.create(maps, pod('p'), {}, admin),
			400,
			/Pod in version "v1" cannot be handled as a ConfigMap/,
		);
		await refused(t, api.create(maps, 'text', {}, admin), 400, /must be a JSON object/);
		await refused(
			t,
			api.create(maps, configMap('b', {}, { namespace: 'other' }), {}, admin),
			400,
			'the namespace of the provided object does not match the namespace sent on the request',
		);
		await refused(
			t,
			api.create(maps, configMap('b', {}, { resourceVersion: '1' }), {}, admin),
			400,
			'resourceVersion should not be set on objects to be created',
		);
		await refused(
			t,
			api.create({ kind: Deployment, namespace: ns }, { ...deployment('d'), spec: { replicas: 'two' } }, {}, admin),
			400,
			/cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32/,
		);
	});

	it('an unknown field is refused, warned of or dropped, as the caller asks', async (t, api) => {
		const body = { ...configMap('a'), dta: {} };
		await refused(
			t,
			api.create(maps, body, { fieldValidation: 'Strict' }, admin),
			400,
			/strict decoding error: unknown field "dta"/,
		);
		const warnings: string[] = [];
		const made = await api.create(maps, body, { warn: (message) => warnings.push(message) }, admin);
		t.deepEqual(warnings, ['unknown field "dta"']);
		t.false('dta' in made.object);
		await api.create(maps, { ...body, metadata: { name: 'b' } }, { fieldValidation: 'Ignore', warn: t.fail }, admin);
	});

	it('an update needs the stored resourceVersion, or none', async (t, api) => {
		const first = await api.create(maps, configMap('a', { x: '1' }), {}, admin);
		const second = await api.update({ ...maps, name: 'a' }, configMap('a', { x: '2' }), {}, admin);
		t.true(second.revision > first.revision);
		const stale = { ...first.object, data: { x: '3' } };
		await refused(
			t,
			api.update({ ...maps, name: 'a' }, stale, {}, admin),
			409,
			'Operation cannot be fulfilled on configmaps "a": the object has been modified; please apply your changes to the latest version and try again',
		);
		await refused(t, api.update({ ...maps, name: 'b' }, configMap('b'), {}, admin), 404, 'configmaps "b" not found');
		await refused(
			t,
			api.update({ ...maps, name: 'b' }, configMap('a'), {}, admin),
			400,
			/does not match the name on the URL/,
		);
		const other = { ...second.object, metadata: { ...second.object.metadata, uid: 'another' } };
		await refused(t, api.update({ ...maps, name: 'a' }, other, {}, admin), 409, /Precondition failed: UID/);
	});

	it('an update that changes nothing writes nothing', async (t, api, store) => {
		const { object, revision } = await api.create(maps, configMap('a', { x: '1' }), {}, admin);
		const before = await written(store);
		const same = await api.update({ ...maps, name: 'a' }, object, {}, { ...admin, userAgent: 'other/1' });
		const patched = await api.patch({ ...maps, name: 'a' }, { type: 'merge', body: { data: { x: '1' } } }, {}, admin);
		t.deepEqual([same.revision, patched.revision], [revision, revision]);
		t.deepEqual(await written(store), before);
	});

	it('uid, creation time and the like are the server’s, whatever an update says', async (t, api) => {
		const { object } = await api.create(maps, configMap('a'), {}, admin);
		const meant = {
			...configMap('a', { x: '1' }),
			metadata: { name: 'a', creationTimestamp: '2001-01-01T00:00:00Z', generation: 9 },
		};
		const { metadata } = (await api.update({ ...maps, name: 'a' }, meant, {}, admin)).object;
		t.is(metadata.uid, object.metadata.uid);
		t.is(metadata.creationTimestamp, object.metadata.creationTimestamp);
		t.is(metadata.generation, undefined);
	});

	it('a continue token that is made up is refused, whatever it says', async (t, api) => {
		await api.create(maps, configMap('a'), {}, admin);
		const token = (rv: unknown, after: unknown = 'default/a') =>
			Buffer.from(JSON.stringify({ v: 1, rv, after })).toString('base64url');
		for (const made of [token(Number.MAX_SAFE_INTEGER), token(10 ** 12), token(10 ** 12, '\u0000'), token(1)]) {
			const listed = api.list(maps, { limit: 1, continue: made }, admin);
			// The revision of the last may be there still.
			const error = await listed.then(
				() => undefined,
				(cause: unknown) => cause,
			);
			if (error) t.is((error as ApiError).status?.code, 410, String(error));
			else t.is(made, token(1));
		}
		for (const made of [
			'x',
			'%',
			'',
			token(-2),
			token('1'),
			token(1.5),
			token(null),
			token(1, 7),
			token(2 ** 60),
		].filter(Boolean))
			await refused(t, api.list(maps, { continue: made }, admin), 400, /continue key is not valid/);
	});

	it('a write of the status leaves the labels of a Deployment and the owners of a Pod as they are', async (t, api) => {
		const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'o', uid: 'u' };
		const metadata = { labels: { a: 'b' }, annotations: { seen: 'yes' }, ownerReferences: [owner] };
		const body = { metadata };
		await api.create({ kind: Deployment, namespace: ns }, deployment('d'), {}, admin);
		const made = await api.create(pods, pod('p'), {}, admin);
		for (const type of ['merge', 'strategic'] as const) {
			const onStatus = { namespace: ns, subresource: 'status' } as const;
			const web = await api.patch({ ...onStatus, kind: Deployment, name: 'd' }, { type, body }, {}, admin);
			t.like(web.object.metadata, { labels: undefined, annotations: { seen: 'yes' }, ownerReferences: [owner] });
			const one = await api.patch({ ...onStatus, kind: Pod, name: 'p' }, { type, body }, {}, admin);
			t.deepEqual(one.object.metadata.labels, { ...made.object.metadata.labels, a: 'b' });
			t.is(one.object.metadata.ownerReferences, undefined);
		}
	});

	it('what a stored object broke already keeps nothing else from being changed', async (t, api, store) => {
		const target = { ...maps, name: 'old' };
		// As if it had been stored before there was a rule for keys.
		const odd = {
			apiVersion: 'v1',
			kind: 'ConfigMap',
			metadata: { name: 'old', namespace: ns, uid: 'u', finalizers: ['example.com/one'] },
			data: { 'no key': '1' },
		};
		const storeKey = storageKey(ConfigMap, `${ns}/old`);
		await store.commit({ puts: [{ key: storeKey, value: draft(odd).value }] });
		const merge = (body: object) => api.patch(target, { type: 'merge', body }, {}, admin);
		const { object } = await merge({ metadata: { labels: { a: 'b' } }, data: { key: '2' } });
		t.deepEqual(object.data, { 'no key': '1', key: '2' });
		const error = await refused(t, merge({ data: { 'nor this': '3' } }), 422, /data\[nor this\]/);
		t.false(error.message.includes('no key'), error.message);
		await api.delete(target, {}, admin);
		await merge({ metadata: { finalizers: null } });
		await refused(t, api.get(target, {}, admin), 404, /not found/);
	});

	it('an apply of the status applies of the metadata what a write of the status may change', async (t, api) => {
		const target = { ...pods, name: 'p', subresource: 'status' } as const;
		await api.create(pods, pod('p'), {}, admin);
		const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'o', uid: 'u' };
		const metadata = { annotations: { seen: 'yes' }, ownerReferences: [owner] };
		const body = { apiVersion: 'v1', kind: 'Pod', metadata, spec: { nodeName: 'n' }, status: { phase: 'Running' } };
		const { object } = await api.patch(target, { type: 'apply', body }, { fieldManager: 'agent' }, admin);
		t.is(object.status?.phase, 'Running');
		t.is(object.spec.nodeName, undefined);
		t.deepEqual([object.metadata.annotations, object.metadata.ownerReferences], [{ seen: 'yes' }, undefined]);
		const { fieldsV1 } = object.metadata.managedFields?.find(({ manager }) => manager === 'agent') ?? {};
		t.deepEqual(fieldsV1, {
			'f:metadata': { 'f:annotations': { 'f:seen': {} } },
			'f:status': { 'f:phase': {} },
		});
		const labelled = { kind: Deployment, namespace: ns, name: 'd', subresource: 'status' } as const;
		await api.create({ kind: Deployment, namespace: ns }, deployment('d'), {}, admin);
		const labels = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { labels: { a: 'b' } }, status: {} };
		const after = await api.patch(labelled, { type: 'apply', body: labels }, { fieldManager: 'agent' }, admin);
		t.is(after.object.metadata.labels, undefined);
		t.false(
			after.object.metadata.managedFields?.some(
				({ manager, fieldsV1 }) => manager === 'agent' && fieldsV1 && 'f:metadata' in fieldsV1,
			),
		);
	});

	it('generation counts changes of the specification, and status has a path of its own', async (t, api) => {
		const target = { kind: Deployment, namespace: ns, name: 'd' };
		const made = await api.create(target, deployment('d', 2), {}, admin);
		t.is(made.object.metadata.generation, 1);
		const both = { ...made.object, spec: { ...made.object.spec, replicas: 3 }, status: { replicas: 7 } };
		const main = await api.update(target, both, {}, admin);
		t.is(main.object.metadata.generation, 2);
		t.is(main.object.status?.replicas, undefined, 'status is not changed there');
		const changed = { ...main.object, spec: { ...main.object.spec, replicas: 9 }, status: { replicas: 3 } };
		const status = await api.update({ ...target, subresource: 'status' }, changed, {}, admin);
		t.is(status.object.metadata.generation, 2);
		t.is(status.object.spec.replicas, 3, 'the specification is not changed there');
		t.is(status.object.status?.replicas, 3);
		t.true(status.object.metadata.managedFields?.some(({ subresource }) => subresource === 'status'));
	});

	it('scale reads and writes the replicas alone', async (t, api) => {
		const target = { kind: Deployment, namespace: ns, name: 'd' } as const;
		await api.create(target, deployment('d', 2), {}, admin);
		const scale: KubeObject = (await api.get({ ...target, subresource: 'scale' }, {}, admin)).object;
		t.like(scale, { kind: 'Scale', spec: { replicas: 2 }, status: { selector: 'app=d' } });
		await api.patch({ ...target, subresource: 'scale' }, { type: 'merge', body: { spec: { replicas: 5 } } }, {}, admin);
		t.is((await api.get(target, {}, admin)).object.spec.replicas, 5);
		await refused(
			t,
			api.patch({ ...target, subresource: 'scale' }, { type: 'merge', body: { spec: { replicas: -1 } } }, {}, admin),
			422,
			/spec.replicas: Invalid value: -1/,
		);
		for (const replicas of [2 ** 31, 1e30])
			await refused(
				t,
				api.patch({ ...target, subresource: 'scale' }, { type: 'merge', body: { spec: { replicas } } }, {}, admin),
				400,
				/spec.replicas must be an integer of 32 bits/,
			);
		await refused(t, api.get({ ...maps, name: 'x', subresource: 'scale' }, {}, admin), 404, /could not find/);
	});

	it('patches that meet each other are all applied', async (t, api) => {
		await api.create(maps, configMap('a'), {}, admin);
		const one = (index: number) =>
			api.patch({ ...maps, name: 'a' }, { type: 'merge', body: { data: { [`k${index}`]: 'v' } } }, {}, admin);
		await Promise.all(Array.from({ length: 30 }, (_, index) => one(index)));
		t.is(Object.keys((await api.get({ ...maps, name: 'a' }, {}, admin)).object.data ?? {}).length, 30);
	});

	it('a JSON patch whose test fails, and a patch with an old resourceVersion, change nothing', async (t, api) => {
		const first = await api.create(maps, configMap('a', { x: '1' }), {}, admin);
		await api.patch({ ...maps, name: 'a' }, { type: 'merge', body: { data: { x: '2' } } }, {}, admin);
		const target = { ...maps, name: 'a' };
		await refused(
			t,
			api.patch(target, { type: 'json', body: [{ op: 'test', path: '/data/x', value: '1' }] }, {}, admin),
			422,
			/test failed/,
		);
		const old = { metadata: { resourceVersion: String(first.revision) }, data: { x: '9' } };
		await refused(t, api.patch(target, { type: 'merge', body: old }, {}, admin), 409, /has been modified/);
		t.is((await api.get(target, {}, admin)).object.data?.x, '2');
	});

	it('apply creates, owns, conflicts, and takes over by force', async (t, api) => {
		const target = { ...maps, name: 'a' };
		const apply = (manager: string, data: Record<string, string>, force = false) =>
			api.patch(target, { type: 'apply', body: configMap('a', data), force }, { fieldManager: manager }, admin);
		t.true((await apply('one', { x: '1', y: '1' })).created);
		t.false((await apply('one', { x: '1', y: '1' })).created);
		const error = await refused(t, apply('two', { x: '2' }), 409, /conflict with "one"/);
		t.like(error.status.details?.causes?.[0], { reason: 'FieldManagerConflict', field: '.data.x' });
		const forced = await apply('two', { x: '2' }, true);
		t.deepEqual(forced.object.data, { x: '2', y: '1' });
		const released = await apply('one', { y: '1' });
		t.deepEqual(released.object.data, { x: '2', y: '1' });
		const gone = await apply('one', {});
		t.deepEqual(gone.object.data, { x: '2' }, 'what its only owner no longer applies is removed');
		await refused(
			t,
			api.patch(target, { type: 'apply', body: configMap('a') }, {}, admin),
			422,
			/fieldManager: Required value/,
		);
	});

	it('a dry run answers what would be and changes nothing', async (t, api, store) => {
		const dryRun = true;
		await api.create(maps, configMap('a', { x: '1' }), {}, admin);
		const before = await written(store);
		const made = await api.create(maps, configMap('b'), { dryRun }, admin);
		t.truthy(made.object.metadata.uid);
		const updated = await api.update({ ...maps, name: 'a' }, configMap('a', { x: '2' }), { dryRun }, admin);
		t.is(updated.object.data?.x, '2');
		const applied = await api.patch(
			{ ...maps, name: 'a' },
			{ type: 'apply', body: configMap('a', { y: '1' }) },
			{ dryRun, fieldManager: 'm' },
			admin,
		);
		t.deepEqual(applied.object.data, { x: '1', y: '1' });
		t.true((await api.delete({ ...maps, name: 'a' }, { dryRun }, admin)).gone);
		await api.deleteCollection(maps, {}, { dryRun }, admin);
		await refused(t, api.create(maps, configMap('a'), { dryRun }, admin), 409, /already exists/);
		await refused(t, api.get({ ...maps, name: 'b' }, {}, admin), 404, 'configmaps "b" not found');
		t.deepEqual(await written(store), before);
	});

	it('an object with finalizers stays until the last one is taken away', async (t, api) => {
		const target = { ...maps, name: 'a' };
		await api.create(maps, configMap('a', {}, { finalizers: ['example.com/one', 'example.com/two'] }), {}, admin);
		const { stored, gone } = await api.delete(target, {}, admin);
		t.false(gone);
		t.truthy(stored.object.metadata.deletionTimestamp);
		const left = (finalizers: string[]) =>
			api.patch(target, { type: 'merge', body: { metadata: { finalizers } } }, {}, admin);
		await left(['example.com/two']);
		t.truthy(await api.get(target, {}, admin));
		await api.patch(target, { type: 'merge', body: { metadata: { finalizers: [] } } }, { dryRun: true }, admin);
		t.truthy(await api.get(target, {}, admin), 'a dry run removes nothing');
		await left([]);
		await refused(t, api.get(target, {}, admin), 404, 'configmaps "a" not found');
	});

	it('a propagation policy leaves its finalizer for the garbage collector', async (t, api) => {
		for (const [policy, finalizer] of [
			['Foreground', 'foregroundDeletion'],
			['Orphan', 'orphan'],
		] as const) {
			await api.create(maps, configMap(finalizer.toLowerCase()), {}, admin);
			const { stored, gone } = await api.delete(
				{ ...maps, name: finalizer.toLowerCase() },
				{ propagationPolicy: policy },
				admin,
			);
			t.false(gone);
			t.deepEqual(stored.object.metadata.finalizers, [finalizer]);
		}
	});

	it('preconditions keep a delete from meeting another object', async (t, api) => {
		const { object } = await api.create(maps, configMap('a'), {}, admin);
		await refused(
			t,
			api.delete({ ...maps, name: 'a' }, { preconditions: { uid: 'another' } }, admin),
			409,
			/UID in precondition: another/,
		);
		await refused(
			t,
			api.delete({ ...maps, name: 'a' }, { preconditions: { resourceVersion: '1' } }, admin),
			409,
			/ResourceVersion in precondition/,
		);
		const { gone } = await api.delete({ ...maps, name: 'a' }, { preconditions: { uid: object.metadata.uid } }, admin);
		t.true(gone);
		await refused(t, api.delete({ ...maps, name: 'a' }, {}, admin), 404, 'configmaps "a" not found');
	});

	it('a running pod gets its grace period, which a second delete may shorten; others go at once', async (t, api) => {
		await api.create(pods, pod('waiting'), {}, admin);
		t.true((await api.delete({ ...pods, name: 'waiting' }, {}, admin)).gone);

		await api.create(pods, pod('running'), {}, admin);
		const target = { ...pods, name: 'running' };
		await api.create({ ...target, subresource: 'binding' }, { target: { kind: 'Node', name: 'n1' } }, {}, admin);
		const first = await api.delete(target, {}, admin);
		t.false(first.gone);
		t.is(first.stored.object.metadata.deletionGracePeriodSeconds, 30);
		const again = await api.delete(target, {}, admin);
		t.is(again.stored.revision, first.stored.revision, 'the same delete again changes nothing');
		const shorter = await api.delete(target, { gracePeriodSeconds: 5 }, admin);
		t.is(shorter.stored.object.metadata.deletionGracePeriodSeconds, 5);
		t.true(
			Date.parse(shorter.stored.object.metadata.deletionTimestamp ?? '') <
				Date.parse(first.stored.object.metadata.deletionTimestamp ?? ''),
		);
		const longer = await api.delete(target, { gracePeriodSeconds: 60 }, admin);
		t.is(longer.stored.object.metadata.deletionGracePeriodSeconds, 5);
		t.true((await api.delete(target, { gracePeriodSeconds: 0 }, admin)).gone);

		await api.create(pods, pod('done', { nodeName: 'n1' }), {}, admin);
		await api.patch(
			{ ...pods, name: 'done', subresource: 'status' },
			{ type: 'merge', body: { status: { phase: 'Succeeded' } } },
			{},
			admin,
		);
		t.true((await api.delete({ ...pods, name: 'done' }, {}, admin)).gone);
	});

	it('a pod is bound once', async (t, api) => {
		await api.create(pods, pod('p'), {}, admin);
		const binding = { ...pods, name: 'p', subresource: 'binding' } as const;
		for (const field of ['uid', 'resourceVersion'])
			await refused(
				t,
				api.create(binding, { metadata: { [field]: 'another' }, target: { name: 'n1' } }, {}, admin),
				409,
				/Precondition failed: (UID|ResourceVersion) in precondition: another, /,
			);
		await api.create(binding, { target: { kind: 'Node', name: 'n1' } }, {}, admin);
		const { object } = await api.get({ ...pods, name: 'p' }, {}, admin);
		t.is(object.spec.nodeName, 'n1');
		t.like(
			object.status?.conditions?.find(({ type }) => type === 'PodScheduled'),
			{ status: 'True' },
		);
		await refused(
			t,
			api.create(binding, { target: { name: 'n2' } }, {}, admin),
			409,
			/pod p is already assigned to node "n1"/,
		);
	});

	it('an eviction deletes the pod', async (t, api) => {
		await api.create(pods, pod('p'), {}, admin);
		await api.create({ ...pods, name: 'p', subresource: 'eviction' }, { metadata: { name: 'p' } }, {}, admin);
		await refused(t, api.get({ ...pods, name: 'p' }, {}, admin), 404, 'pods "p" not found');
	});

	it('a namespace being removed takes nothing new, and goes when it is finalized', async (t, api) => {
		const target = { kind: Namespace, name: 'n' };
		const made = await api.create({ kind: Namespace }, { metadata: { name: 'n' } }, {}, admin);
		t.deepEqual(made.object.spec.finalizers, ['kubernetes']);
		t.is(made.object.metadata.labels?.['kubernetes.io/metadata.name'], 'n');
		const { stored, gone } = await api.delete(target, {}, admin);
		t.false(gone);
		t.is(stored.object.status?.phase, 'Terminating');
		const error = await refused(
			t,
			api.create({ ...maps, namespace: 'n' }, configMap('a'), {}, admin),
			403,
			'configmaps "a" is forbidden: unable to create new content in namespace n because it is being terminated',
		);
		t.is(error.status.details?.causes?.[0]?.reason, 'NamespaceTerminating');
		await api.update(target, { ...stored.object, spec: { finalizers: [] } }, {}, admin);
		t.deepEqual((await api.get(target, {}, admin)).object.spec.finalizers, ['kubernetes'], 'only by the subresource');
		await api.update(
			{ ...target, subresource: 'finalize' },
			{ ...stored.object, metadata: { name: 'n' }, spec: { finalizers: [] } },
			{},
			admin,
		);
		await refused(t, api.get(target, {}, admin), 404, 'namespaces "n" not found');
		await refused(
			t,
			api.delete({ kind: Namespace, name: 'kube-system' }, {}, admin),
			403,
			'namespaces "kube-system" is forbidden: this namespace may not be deleted',
		);
	});

	it('a list is sorted, of one namespace or of all, and selected by labels and fields', async (t, api) => {
		await api.create({ kind: Namespace }, { metadata: { name: 'default-2' } }, {}, admin);
		for (const [namespace, name] of [
			['default', 'b'],
			['default-2', 'c'],
			['default', 'a'],
		] as const)
			await api.create({ kind: ConfigMap, namespace }, configMap(name, {}, { labels: { tier: name } }), {}, admin);
		t.deepEqual(names((await api.list(maps, {}, admin)).items), ['a', 'b']);
		t.deepEqual(names((await api.list({ kind: ConfigMap }, {}, admin)).items), ['c', 'a', 'b']);
		t.deepEqual(names((await api.list({ kind: ConfigMap }, { labelSelector: 'tier in (a,c)' }, admin)).items), [
			'c',
			'a',
		]);
		t.deepEqual(
			names((await api.list({ kind: ConfigMap }, { fieldSelector: 'metadata.namespace!=default' }, admin)).items),
			['c'],
		);
		await refused(t, api.list(maps, { labelSelector: 'a in' }, admin), 400, /unable to parse requirement/);
		await refused(t, api.list(maps, { fieldSelector: 'spec.x=1' }, admin), 400, 'field label not supported: spec.x');
	});

	it('pages agree with the first one, whatever is written in between', async (t, api) => {
		const of = (index: number) => configMap(`m${String(index).padStart(2, '0')}`, { at: 'first' });
		for (let index = 0; index < 10; index++) await api.create(maps, of(index), {}, admin);
		const first = await api.list(maps, { limit: 4 }, admin);
		t.deepEqual(names(first.items), ['m00', 'm01', 'm02', 'm03']);
		t.is(first.remainingItemCount, 6);
		await api.delete({ ...maps, name: 'm05' }, {}, admin);
		await api.patch({ ...maps, name: 'm06' }, { type: 'merge', body: { data: { at: 'later' } } }, {}, admin);
		await api.create(maps, configMap('m04a'), {}, admin);
		const second = await api.list(maps, { limit: 4, continue: first.continue }, admin);
		t.deepEqual(names(second.items), ['m04', 'm05', 'm06', 'm07']);
		t.is(second.items[2]?.object.data?.at, 'first');
		t.is(second.resourceVersion, first.resourceVersion);
		const third = await api.list(maps, { limit: 4, continue: second.continue }, admin);
		t.deepEqual(names(third.items), ['m08', 'm09']);
		t.is(third.continue, undefined);
		await refused(t, api.list(maps, { continue: 'garbage' }, admin), 400, /continue key is not valid/);
	});

	it('a page that is too old is refused, with a token that goes on in the present', async (t, api, store) => {
		for (const name of ['a', 'b', 'c']) await api.create(maps, configMap(name), {}, admin);
		const token = (revision: number, after: string) =>
			Buffer.from(JSON.stringify({ v: 1, rv: revision, after })).toString('base64url');
		const { resourceVersion } = await api.list(maps, {}, admin);
		await api.delete({ ...maps, name: 'c' }, {}, admin);
		// One that has just started has nothing of the past in memory.
		await using started = await openApi({ store, registry: loadRegistry(), log: silentLog });
		const old = await started.list(maps, { continue: token(Number(resourceVersion), `${ns}/a`) }, admin);
		t.deepEqual(names(old.items), ['b', 'c'], 'read from the history of the store');
		await store.compact(await store.revision());
		const error = await refused(
			t,
			started.list(maps, { continue: token(Number(resourceVersion) - 1, `${ns}/a`) }, admin),
			410,
			/^The provided continue parameter is too old to display a consistent list result/,
		);
		t.is(error.reason, 'Expired');
		t.deepEqual(names((await api.list(maps, { continue: error.status.metadata.continue }, admin)).items), ['b']);
	});

	it('a resourceVersion asks for a state: at least as new, that one, or any', async (t, api) => {
		const { revision } = await api.create(maps, configMap('a'), {}, admin);
		await api.create(maps, configMap('b'), {}, admin);
		const exact = await api.list(maps, { resourceVersion: String(revision), resourceVersionMatch: 'Exact' }, admin);
		t.deepEqual(names(exact.items), ['a']);
		t.is(exact.resourceVersion, String(revision));
		const first = await api.list(maps, { resourceVersion: String(revision), limit: 5 }, admin);
		t.deepEqual(names(first.items), ['a'], 'a first page from a revision is of that revision');
		t.is(names((await api.list(maps, { resourceVersion: String(revision) }, admin)).items)[0], 'a');
		t.truthy(await api.list(maps, { resourceVersion: '0' }, admin));
		await refused(
			t,
			api.list(maps, { resourceVersion: '99999999' }, admin),
			504,
			/^Timeout: Too large resource version: 99999999/,
		);
		await refused(t, api.get({ ...maps, name: 'a' }, { resourceVersion: 'x' }, admin), 400, /resourceVersion/);
		await refused(
			t,
			api.list(maps, { resourceVersionMatch: 'Exact' }, admin),
			422,
			/unless resourceVersion is provided/,
		);
	});

	it('a watch goes on after a resourceVersion, without gap', async (t, api) => {
		const { revision } = await api.create(maps, configMap('a'), {}, admin);
		await api.create(maps, configMap('b'), {}, admin);
		await api.patch({ ...maps, name: 'a' }, { type: 'merge', body: { data: { x: '1' } } }, {}, admin);
		await api.delete({ ...maps, name: 'b' }, {}, admin);
		await api.create({ ...maps, namespace: 'kube-public' }, configMap('elsewhere'), {}, admin);
		const abort = new AbortController();
		const events = api.watch(maps, { resourceVersion: String(revision), signal: abort.signal }, admin);
		t.deepEqual(await take(events, 3), ['ADDED b', 'MODIFIED a', 'DELETED b']);
	});

	it('a DELETED event has the last state at the revision of the removal', async (t, api) => {
		const { revision } = await api.create(maps, configMap('a', { x: '1' }), {}, admin);
		await api.delete({ ...maps, name: 'a' }, {}, admin);
		const { signal } = new AbortController();
		for await (const [event] of api.watch(maps, { resourceVersion: String(revision), signal }, admin)) {
			t.is(event?.type, 'DELETED');
			if (event?.type !== 'DELETED') break;
			t.deepEqual(event.stored.object.data, { x: '1' });
			t.true(Number(event.stored.object.metadata.resourceVersion) > revision);
			t.deepEqual(JSON.parse(textOf(event.stored.bytes)), event.stored.object);
			break;
		}
	});

	it('a watch without a resourceVersion begins with what is there; sendInitialEvents says where that ends', async (t, api) => {
		await api.create(maps, configMap('a'), {}, admin);
		const { signal } = new AbortController();
		t.deepEqual(await take(api.watch(maps, { signal }, admin), 1), ['ADDED a']);
		const streaming = { sendInitialEvents: true, allowWatchBookmarks: true, resourceVersion: '0', signal };
		t.deepEqual(await take(api.watch(maps, streaming, admin), 2), ['ADDED a', 'BOOKMARK end']);
		const none = api.watch(maps, { sendInitialEvents: false, signal }, admin);
		let seen: string[] | undefined;
		const reading = take(none, 1).then((first) => {
			seen = first;
		});
		// A watch begins some time after it was asked for.
		for (let index = 0; !seen; index++) await api.create(maps, configMap(`later-${index}`), {}, admin);
		await reading;
		t.regex(seen[0] ?? '', /^ADDED later-/);
	});

	it('what comes to match a selector is ADDED to a watch, and what ceases to is DELETED', async (t, api) => {
		const { resourceVersion } = await api.list(maps, {}, admin);
		const label = (tier: string) =>
			api.patch({ ...maps, name: 'a' }, { type: 'merge', body: { metadata: { labels: { tier } } } }, {}, admin);
		await api.create(maps, configMap('a'), {}, admin);
		await label('web');
		await label('web2');
		await label('web');
		await api.patch({ ...maps, name: 'a' }, { type: 'merge', body: { data: { x: '1' } } }, {}, admin);
		await api.delete({ ...maps, name: 'a' }, {}, admin);
		const { signal } = new AbortController();
		const events = api.watch(maps, { labelSelector: 'tier=web', resourceVersion, signal }, admin);
		t.deepEqual(await take(events, 5), ['ADDED a', 'DELETED a', 'ADDED a', 'MODIFIED a', 'DELETED a']);
	});

	it('a watch from a revision that the store has never come to is answered with 410: it is from a history that was lost', async (t, api) => {
		const { revision } = await api.create(maps, configMap('a'), {}, admin);
		const { signal } = new AbortController();
		const from = (more: number) => ({ resourceVersion: String(revision + more), signal });
		await refused(t, take(api.watch(maps, from(1_000), admin), 1), 410, /^resource version \d+ is yet to come/);
		const present = take(api.watch(maps, from(0), admin), 1);
		await api.create(maps, configMap('b'), {}, admin);
		t.deepEqual(await present, ['ADDED b']);
	});

	it('a watch from before the history that is kept is answered with 410', async (t, api, store) => {
		const { revision } = await api.create(maps, configMap('a'), {}, admin);
		await api.create(maps, configMap('b'), {}, admin);
		await using later = await openApi({ store, registry: loadRegistry(), log: silentLog });
		const { signal } = new AbortController();
		await refused(
			t,
			take(later.watch(maps, { resourceVersion: String(revision), signal }, admin), 1),
			410,
			/^too old resource version: /,
		);
	});

	it('a service gets an address and node ports that no other has, keeps them, and gives them back', async (t, api) => {
		const services = { kind: Service, namespace: ns };
		const made = await Promise.all(
			Array.from({ length: 20 }, (_, index) =>
				api.create(services, service(`s${index}`, { type: 'NodePort' }), {}, admin),
			),
		);
		const addresses = made.map(({ object }) => object.spec.clusterIP ?? '');
		t.is(new Set(addresses).size, 20);
		t.is(new Set(made.map(({ object }) => object.spec.ports?.[0]?.nodePort)).size, 20);
		for (const address of addresses) t.regex(address, /^10\.(9[6-9]|10\d|11[01])\./);
		const [address = ''] = addresses;
		const updated = await api.update({ ...services, name: 's0' }, service('s0', { type: 'NodePort' }), {}, admin);
		t.is(updated.object.spec.clusterIP, address);
		t.is(updated.object.spec.ports?.[0]?.nodePort, made[0]?.object.spec.ports?.[0]?.nodePort);
		await refused(
			t,
			api.create(services, service('t', { clusterIP: address }), {}, admin),
			422,
			new RegExp(`failed to allocate IP ${address}: provided IP is already allocated`),
		);
		await refused(
			t,
			api.create(services, service('t', { clusterIP: '192.168.0.1' }), {}, admin),
			422,
			/the provided IP \(192.168.0.1\) is not in the valid range. The range of valid IPs is 10.96.0.0\/12/,
		);
		await refused(
			t,
			api.create(services, service('t', { type: 'NodePort', ports: [{ port: 80, nodePort: 80 }] }), {}, admin),
			422,
			/provided port is not in the valid range. The range of valid ports is 30000-32767/,
		);
		await refused(
			t,
			api.create(services, service('t', { clusterIP: '10.96.0.10' }), {}, admin),
			422,
			/already allocated/,
		);
		await refused(
			t,
			api.create(services, service('t', { clusterIP: '10.96.7.7', clusterIPs: ['10.96.7.8'] }), {}, admin),
			422,
			/spec.clusterIPs: Invalid value: \["10.96.7.8"\]: first value must match `clusterIP`/,
		);
		await api.delete({ ...services, name: 's0' }, {}, admin);
		t.is((await api.create(services, service('t', { clusterIP: address }), {}, admin)).object.spec.clusterIP, address);
		const headless = await api.create(services, service('h', { clusterIP: 'None' }), {}, admin);
		t.deepEqual(headless.object.spec.clusterIPs, ['None']);
	});

	it('a read sees every write that was acknowledged before it', async (t, api) => {
		for (let index = 0; index < 50; index++) {
			await api.create(maps, configMap(`m${index}`), {}, admin);
			t.is((await api.list(maps, {}, admin)).items.length, index + 1);
		}
	});

	it('deletecollection removes what is selected', async (t, api) => {
		for (const name of ['a', 'b', 'c'])
			await api.create(maps, configMap(name, {}, { labels: { keep: String(name === 'b') } }), {}, admin);
		t.deepEqual(names(await api.deleteCollection(maps, { labelSelector: 'keep=false' }, {}, admin)).sort(), ['a', 'c']);
		t.deepEqual(names((await api.list(maps, {}, admin)).items), ['b']);
	});
}
