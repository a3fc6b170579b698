import test from 'ava';
import { serverSideApply } from '../../../src/api/patch/index.ts';
import { ApiError } from '../../../src/kinds/status.ts';
import {
	applied,
	apply,
	deployment,
	fieldsOf,
	managers,
	t1,
	t2,
	t3,
	updated,
	withContainers,
	withSpec,
} from './deployment.ts';
import { equalButTimes } from './equal-but-times.ts';

const specOf = (object: object) => (object as { spec: Record<string, unknown> }).spec;
const containersOf = (object: object) => {
	const { template } = specOf(object) as { template: { spec: { containers: Record<string, unknown>[] } } };
	return template.spec.containers;
};
const caught = (run: () => unknown): ApiError => {
	try {
		run();
	} catch (error) {
		if (error instanceof ApiError) return error;
		throw error;
	}
	throw new Error('nothing was thrown');
};

test('an apply to nothing creates the object and records exactly the fields applied', (t) => {
	const { object, changed } = apply(
		undefined,
		'driftless',
		deployment(
			{
				spec: {
					replicas: 3,
					selector: { matchLabels: { app: 'web' } },
					template: {
						metadata: { labels: { app: 'web' } },
						spec: { containers: [{ name: 'web', image: 'nginx', ports: [{ containerPort: 80 }], args: ['-g'] }] },
					},
				},
			},
			{ labels: { app: 'web' } },
		),
	);
	t.true(changed);
	t.deepEqual(object.metadata.managedFields, [
		{
			manager: 'driftless',
			operation: 'Apply',
			apiVersion: 'apps/v1',
			time: t1,
			fieldsType: 'FieldsV1',
			fieldsV1: {
				'f:metadata': { 'f:labels': { 'f:app': {} } },
				'f:spec': {
					'f:replicas': {},
					'f:selector': {},
					'f:template': {
						'f:metadata': { 'f:labels': { 'f:app': {} } },
						'f:spec': {
							'f:containers': {
								'k:{"name":"web"}': {
									'.': {},
									'f:args': {},
									'f:image': {},
									'f:name': {},
									'f:ports': { 'k:{"containerPort":80,"protocol":"TCP"}': { '.': {}, 'f:containerPort': {} } },
								},
							},
						},
					},
				},
			},
		},
	]);
});

test('the same apply again changes nothing and returns the live object itself', (t) => {
	const config = withContainers([{ name: 'web', image: 'nginx', env: [{ name: 'A', value: '1' }] }]);
	const live = applied(undefined, 'a', config);
	const again = apply(live, 'a', config, { now: t2 });
	t.false(again.changed);
	t.is(again.object, live);
});

test('a changed field is changed, and the entry says when', (t) => {
	const live = applied(undefined, 'a', deployment({ spec: { replicas: 1, paused: true } }));
	const { object, changed } = apply(live, 'a', deployment({ spec: { replicas: 2, paused: true } }), { now: t2 });
	t.true(changed);
	t.is(specOf(object).replicas, 2);
	t.is(object.metadata.managedFields?.[0]?.time, t2);
});

test('a field no longer applied is removed when nobody else owns it', (t) => {
	const live = applied(
		undefined,
		'a',
		deployment({ spec: { replicas: 1, paused: true } }, { labels: { x: '1', y: '2' } }),
	);
	const { object } = apply(live, 'a', deployment({ spec: { replicas: 1 } }, { labels: { x: '1' } }));
	t.deepEqual(specOf(object), { replicas: 1 });
	t.deepEqual(object.metadata.labels, { x: '1' });
});

test('the last label takes only the labels with it, not the name of the object', (t) => {
	const live = applied(undefined, 'a', deployment({}, { labels: { x: '1' } }));
	const { object } = apply(live, 'a', deployment({}));
	t.deepEqual(object.metadata, { name: 'web', namespace: 'default', managedFields: [] });
});

test('a field no longer applied stays when another manager also applies it', (t) => {
	let live = applied(undefined, 'a', deployment({ spec: { replicas: 1 } }));
	live = applied(live, 'b', deployment({ spec: { replicas: 1 } }));
	const { object } = apply(live, 'a', deployment({}));
	t.is(specOf(object).replicas, 1);
	t.deepEqual(managers(object), ['b Apply']);
});

test('a struct no longer applied goes with the defaults that the server filled in beside its fields', (t) => {
	const probe = { httpGet: { path: '/', port: 80 } };
	const live = applied(undefined, 'a', withContainers([{ name: 'web', image: 'nginx', livenessProbe: probe }]));
	const defaulted = withSpec(live, {
		template: {
			spec: { containers: [{ name: 'web', image: 'nginx', livenessProbe: { ...probe, periodSeconds: 10 } }] },
		},
	});
	const { object } = apply(defaulted, 'a', withContainers([{ name: 'web', image: 'nginx' }]));
	t.deepEqual(containersOf(object), [{ name: 'web', image: 'nginx' }]);
});

test('a list item that its applier drops goes, with what the server filled in; items of others stay', (t) => {
	let live = applied(
		undefined,
		'a',
		withContainers([
			{ name: 'one', image: 'x' },
			{ name: 'two', image: 'x' },
		]),
	);
	live = applied(live, 'b', withContainers([{ name: 'side', image: 'y' }]));
	t.deepEqual(
		containersOf(live).map(({ name }) => name),
		['one', 'two', 'side'],
	);
	const { object } = apply(live, 'a', withContainers([{ name: 'two', image: 'x' }]));
	t.deepEqual(
		containersOf(object).map(({ name }) => name),
		['two', 'side'],
	);
});

test('a field that another manager owns with another value is a conflict, in the words of Kubernetes', (t) => {
	const live = applied(undefined, 'kubectl', deployment({ spec: { replicas: 3 } }));
	const error = caught(() => apply(live, 'b', deployment({ spec: { replicas: 5 } })));
	t.is(error.code, 409);
	t.is(error.reason, 'Conflict');
	t.is(error.message, 'Apply failed with 1 conflict: conflict with "kubectl": .spec.replicas');
	t.deepEqual(error.status.details?.causes, [
		{ reason: 'FieldManagerConflict', message: 'conflict with "kubectl"', field: '.spec.replicas' },
	]);
});

test('several conflicts are listed by manager, with the API version of updates and the subresource', (t) => {
	let live = applied(
		undefined,
		'helm',
		withContainers([{ name: 'web', image: 'a', env: [{ name: 'A', value: '1' }] }]),
	);
	live = updated(live, 'kubectl-client-side-apply', withSpec(live, { replicas: 3, paused: true }));
	live = updated(live, 'hpa', withSpec(live, { replicas: 4 }), { subresource: 'scale' });
	const config = deployment({
		spec: {
			paused: false,
			replicas: 9,
			template: { spec: { containers: [{ name: 'web', image: 'b', env: [{ name: 'A', value: '2' }] }] } },
		},
	});
	const error = caught(() => apply(live, 'x', config));
	t.is(
		error.message,
		[
			'Apply failed with 4 conflicts: conflicts with "helm":',
			'- .spec.template.spec.containers[name="web"].env[name="A"].value',
			'- .spec.template.spec.containers[name="web"].image',
			'conflicts with "hpa" with subresource "scale" using apps/v1:',
			'- .spec.replicas',
			'conflicts with "kubectl-client-side-apply" using apps/v1:',
			'- .spec.paused',
		].join('\n'),
	);
});

test('the same value as another manager is shared ownership, no conflict', (t) => {
	const live = applied(undefined, 'a', deployment({ spec: { replicas: 3 } }));
	const { object, changed } = apply(live, 'b', deployment({ spec: { replicas: 3 } }), { now: t2 });
	t.true(changed);
	t.deepEqual(managers(object), ['a Apply', 'b Apply']);
	t.is(object.metadata.managedFields?.[0]?.time, t1, 'what a owns did not change');
});

test('force takes the field from its owner', (t) => {
	let live = applied(undefined, 'a', deployment({ spec: { replicas: 3, paused: true } }));
	live = applied(live, 'b', deployment({ spec: { replicas: 5 } }), { force: true, now: t2 });
	t.is(specOf(live).replicas, 5);
	t.deepEqual(fieldsOf(live, 'a'), { 'f:spec': { 'f:paused': {} } });
	t.deepEqual(fieldsOf(live, 'b'), { 'f:spec': { 'f:replicas': {} } });
	t.is(live.metadata.managedFields?.[0]?.time, t1, 'losing a field is no change by its former owner');
	live = applied(live, 'b', deployment({ spec: {} }));
	t.false('replicas' in specOf(live));
});

test('an atomic list or map is one field', (t) => {
	const live = applied(undefined, 'a', deployment({ spec: { selector: { matchLabels: { a: '1' } } } }));
	const error = caught(() => apply(live, 'b', deployment({ spec: { selector: { matchLabels: { a: '1', b: '2' } } } })));
	t.deepEqual(
		error.status.details?.causes?.map(({ field }) => field),
		['.spec.selector'],
	);
	const { object } = apply(live, 'b', deployment({ spec: { selector: { matchLabels: { b: '2' } } } }), { force: true });
	t.deepEqual(specOf(object).selector, { matchLabels: { b: '2' } });
});

test('an applied finalizer joins those of others, and leaves alone', (t) => {
	let live = applied(undefined, 'a', deployment({}, { finalizers: ['x/a'] }));
	live = applied(live, 'b', deployment({}, { finalizers: ['x/b'] }));
	t.deepEqual(live.metadata.finalizers, ['x/a', 'x/b']);
	t.deepEqual(fieldsOf(live, 'b'), { 'f:metadata': { 'f:finalizers': { 'v:"x/b"': {} } } });
	t.deepEqual(apply(live, 'a', deployment({})).object.metadata.finalizers, ['x/b']);
});

test('an omitted key takes its default, so a port and its twin with the protocol written out are one', (t) => {
	const port = (fields: object) => withContainers([{ name: 'web', image: 'x', ports: [fields] }]);
	const live = applied(undefined, 'a', port({ containerPort: 80, protocol: 'TCP', name: 'http' }));
	const { object } = apply(live, 'a', port({ containerPort: 80, name: 'http' }));
	// The protocol was the applier's and is no more; that of a UDP port of the same number would be another item.
	t.deepEqual(containersOf(object)[0]?.ports, [{ containerPort: 80, name: 'http' }]);
	const both = apply(live, 'b', port({ containerPort: 80, protocol: 'UDP' })).object;
	t.deepEqual(containersOf(both)[0]?.ports, [
		{ containerPort: 80, protocol: 'TCP', name: 'http' },
		{ containerPort: 80, protocol: 'UDP' },
	]);
});

test('applied items take the applied order; items of others keep their place between them', (t) => {
	let live = applied(undefined, 'a', withContainers([{ name: 'one' }, { name: 'two' }, { name: 'three' }]));
	live = applied(live, 'b', withContainers([{ name: 'side' }]));
	live = applied(live, 'a', withContainers([{ name: 'three' }, { name: 'one' }, { name: 'two' }, { name: 'new' }]));
	t.deepEqual(
		containersOf(live).map(({ name }) => name),
		['three', 'side', 'one', 'two', 'new'],
	);
	t.false(
		apply(live, 'a', withContainers([{ name: 'three' }, { name: 'one' }, { name: 'two' }, { name: 'new' }])).changed,
	);
});

test('null in an applied configuration asserts that the field is absent, and stores no null', (t) => {
	const live = applied(undefined, 'a', deployment({ spec: { replicas: 1, paused: true } }));
	const { object } = apply(live, 'b', deployment({ spec: { paused: null, minReadySeconds: null } }), { force: true });
	t.deepEqual(specOf(object), { replicas: 1 });
	t.deepEqual(fieldsOf(object, 'b'), { 'f:spec': { 'f:minReadySeconds': {}, 'f:paused': {} } });
});

test('two items of one key are refused with their place', (t) => {
	const error = caught(() => apply(undefined, 'a', withContainers([{ name: 'web' }, { name: 'web', image: 'x' }])));
	t.is(error.code, 400);
	t.is(
		error.message,
		'failed to create typed patch object (default/web; apps/v1, Kind=Deployment): .spec.template.spec.containers: duplicate entries for key [name="web"]',
	);
	t.regex(
		caught(() => apply(undefined, 'a', deployment({}, { finalizers: ['x', 'x'] }))).message,
		/\.metadata\.finalizers/,
	);
});

test('an applied configuration may not carry managedFields', (t) => {
	const config = deployment({}, { managedFields: [{ manager: 'x' }] });
	t.is(caught(() => apply(undefined, 'a', config)).message, 'metadata.managedFields must be nil');
});

test('the main resource does not apply the status, and the status subresource applies no spec', (t) => {
	const live = applied(undefined, 'a', deployment({ spec: { replicas: 1 }, status: { replicas: 7 } }));
	t.false('status' in live);
	const config = deployment({ spec: { replicas: 9 }, status: { replicas: 1 } }, { labels: { a: '1' } });
	const { object } = apply(live, 'ctl', config, { subresource: 'status' });
	t.deepEqual([object.spec, object.status, object.metadata.labels], [{ replicas: 1 }, { replicas: 1 }, { a: '1' }]);
	t.deepEqual(managers(object), ['a Apply', 'ctl Apply status']);
	const plain = apply(undefined, 'a', deployment({ status: { replicas: 7 } }), { statusSubresource: false }).object;
	t.deepEqual(plain.status, { replicas: 7 });
});

test('what the system decides about metadata is neither owned nor merged', (t) => {
	const live = applied(undefined, 'a', deployment({ spec: { replicas: 1 } }));
	const stored = { ...live, metadata: { ...live.metadata, uid: 'u', resourceVersion: '7', generation: 2 } };
	const config = deployment({ spec: { replicas: 1 } }, { uid: 'u', resourceVersion: '7', creationTimestamp: null });
	t.false(apply(stored, 'a', config).changed);
});

test('what an untracked object had belongs to what was before the first apply', (t) => {
	const live = deployment({ spec: { replicas: 1, paused: true } }, { uid: 'u' });
	const { object } = apply(live, 'a', deployment({ spec: { replicas: 1 } }), { now: t2 });
	t.deepEqual(managers(object), ['a Apply', 'before-first-apply Update']);
	t.true(specOf(object).paused);
	const error = caught(() => apply(live, 'a', deployment({ spec: { replicas: 2 } })));
	t.is(error.message, 'Apply failed with 1 conflict: conflict with "before-first-apply" using apps/v1: .spec.replicas');
});

test('the status of an untracked object belongs to what was before, where a status is applied', (t) => {
	const live = deployment({ spec: { replicas: 1 }, status: { replicas: 1, readyReplicas: 1 } });
	const ofStatus = { subresource: 'status', now: t2 };
	const { object } = apply(live, 'a', deployment({ status: { replicas: 1 } }), ofStatus);
	t.deepEqual(fieldsOf(object, 'before-first-apply')?.['f:status'], { 'f:readyReplicas': {}, 'f:replicas': {} });
	const error = caught(() => apply(live, 'a', deployment({ status: { readyReplicas: 2 } }), ofStatus));
	t.is(
		error.message,
		'Apply failed with 1 conflict: conflict with "before-first-apply" with subresource "status" using apps/v1: .status.readyReplicas',
	);
	t.is(
		fieldsOf(apply(live, 'a', deployment({ spec: { replicas: 1 } })).object, 'before-first-apply')?.['f:status'],
		undefined,
	);
});

test('kubectl takes over from client-side apply what its annotation proves to be its own', (t) => {
	const annotation = 'kubectl.kubernetes.io/last-applied-configuration';
	const config = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web' }, spec: { replicas: 3 } };
	const csa = deployment(
		{ spec: { replicas: 3 } },
		{ annotations: { [annotation]: JSON.stringify(config) }, uid: 'u' },
	);
	const live = updated(undefined, 'kubectl-client-side-apply', csa);
	const next = deployment({ spec: { replicas: 4 } });

	t.is(caught(() => apply(live, 'other', next)).code, 409, 'only the manager kubectl is trusted with it');
	const { object } = apply(live, 'kubectl', next);
	t.is(specOf(object).replicas, 4);
	t.deepEqual(JSON.parse(object.metadata.annotations?.[annotation] ?? ''), {
		...config,
		metadata: { name: 'web', namespace: 'default', annotations: {} },
		spec: { replicas: 4 },
	});

	const scaled = updated(live, 'hpa', withSpec(live, { replicas: 8 }));
	t.is(
		caught(() => apply(scaled, 'kubectl', next)).message,
		'Apply failed with 1 conflict: conflict with "hpa" using apps/v1: .spec.replicas',
	);
});

test('an entry of another API version stays, and its fields are still owned', (t) => {
	const live = applied(undefined, 'a', deployment({ spec: { replicas: 1 } }));
	const [entry] = live.metadata.managedFields ?? [];
	const old = { ...live, metadata: { ...live.metadata, managedFields: [{ ...entry, apiVersion: 'apps/v1beta2' }] } };
	const other = apply(old, 'b', deployment({ spec: { paused: true } })).object;
	t.deepEqual(
		other.metadata.managedFields?.map(({ apiVersion }) => apiVersion),
		['apps/v1beta2', 'apps/v1'],
	);
	t.is(caught(() => apply(old, 'b', deployment({ spec: { replicas: 2 } }))).code, 409);
	const same = apply(old, 'a', deployment({ spec: { replicas: 1 } }), { now: t3 }).object;
	t.deepEqual(
		same.metadata.managedFields?.map(({ apiVersion, time }) => [apiVersion, time]),
		[['apps/v1', t3]],
	);
});

test('a resource without a schema merges maps by key and lists as one', (t) => {
	const custom = (spec: object) => ({ ...deployment({ spec }), apiVersion: 'x.io/v1', kind: 'Thing' });
	const base = { schema: undefined, schemas: {}, force: false, now: t1 };
	const live = serverSideApply({
		...base,
		live: undefined,
		applied: custom({ a: { b: 1 }, l: [{ name: 'x' }] }),
		manager: 'a',
	}).object;
	t.deepEqual(fieldsOf(live, 'a'), { 'f:spec': { '.': {}, 'f:a': { '.': {}, 'f:b': {} }, 'f:l': {} } });
	const next = serverSideApply({ ...base, live, applied: custom({ a: { c: 2 } }), manager: 'b' }).object;
	t.deepEqual(next.spec, { a: { b: 1, c: 2 }, l: [{ name: 'x' }] });
	t.throws(() => serverSideApply({ ...base, live, applied: custom({ l: [] }), manager: 'b' }), {
		message: /\.spec\.l/,
	});
});

test('a write that differs only in the times of its entries is no change', (t) => {
	const one = applied(undefined, 'a', deployment({ spec: { replicas: 1 } }), { now: t1 });
	const two = applied(undefined, 'a', deployment({ spec: { replicas: 1 } }), { now: t2 });
	t.true(equalButTimes(one, two));
	t.false(equalButTimes(one, applied(undefined, 'b', deployment({ spec: { replicas: 1 } }))));
	t.false(equalButTimes(one, applied(undefined, 'a', deployment({ spec: { replicas: 2 } }))));
});

test('labels may be called as methods of JavaScript are', (t) => {
	const labels = JSON.parse('{"constructor":"a","toString":"b","__proto__":"c"}');
	let live = applied(undefined, 'a', deployment({}, { labels: { x: '1' } }));
	live = applied(live, 'b', deployment({}, { labels }));
	t.is(JSON.stringify(live.metadata.labels), '{"x":"1","constructor":"a","toString":"b","__proto__":"c"}');
	t.deepEqual(Object.keys(Object(Object(fieldsOf(live, 'b'))['f:metadata'])['f:labels']), [
		'f:__proto__',
		'f:constructor',
		'f:toString',
	]);
	t.false(apply(live, 'b', deployment({}, { labels })).changed);
	const edited = updated(live, 'c', deployment({}, { labels: { x: '1' } }));
	t.deepEqual(managers(edited), ['a Apply'], 'what was removed belongs to nobody');
	t.is(JSON.stringify(apply(live, 'b', deployment({})).object.metadata.labels), '{"x":"1"}');
});

test('a reference to an owner is one value: who applies one of its fields applies them all', (t) => {
	const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'o', uid: 'u' };
	const live = applied(undefined, 'a', deployment({}, { ownerReferences: [{ ...owner, controller: true }] }));
	t.deepEqual(fieldsOf(live, 'a')?.['f:metadata'], { 'f:ownerReferences': { 'k:{"uid":"u"}': {} } });
	const config = deployment({}, { ownerReferences: [{ ...owner, blockOwnerDeletion: true }] });
	t.throws(() => apply(live, 'b', config), { message: /conflict with "a": \.metadata\.ownerReferences\[uid="u"\]$/ });
	const { object } = apply(live, 'b', config, { force: true });
	t.deepEqual(object.metadata.ownerReferences, [{ ...owner, blockOwnerDeletion: true }]);
});
