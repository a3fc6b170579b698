import test from 'ava';
import { readScale, writeScale } from '../../../src/api/patch/index.ts';
import { kind } from '../../../src/kinds/declare.ts';
import { deployment, frozen } from './deployment.ts';

const scalable = (selector = '.spec.selector') =>
	kind({
		group: 'apps',
		version: 'v1',
		kind: 'Deployment',
		plural: 'deployments',
		schema: 'io.k8s.api.apps.v1.Deployment',
		subresources: { scale: { spec: '.spec.replicas', status: '.status.replicas', selector } },
	});

test('a Scale has the replicas of both sides and the selector as text', (t) => {
	const selector = {
		matchLabels: { b: '2', a: '1' },
		matchExpressions: [
			{ key: 'c', operator: 'In', values: ['y', 'x'] },
			{ key: 'd', operator: 'Exists' },
			{ key: 'e', operator: 'DoesNotExist' },
			{ key: 'f', operator: 'NotIn', values: ['z'] },
		],
	};
	const object = deployment(
		{ spec: { replicas: 3, selector }, status: { replicas: 2 } },
		{ uid: 'u', resourceVersion: '7' },
	);
	t.like(readScale(scalable(), object), {
		apiVersion: 'autoscaling/v1',
		kind: 'Scale',
		metadata: { name: 'web', namespace: 'default', uid: 'u', resourceVersion: '7' },
		spec: { replicas: 3 },
		status: { replicas: 2, selector: 'a=1,b=2,c in (x,y),d,!e,f notin (z)' },
	});
	const text = deployment({ status: { selector: 'a=b' } });
	t.deepEqual(readScale(scalable('.status.selector'), text).status, { replicas: 0, selector: 'a=b' });
});

test('writing a Scale copies only the way to the replicas', (t) => {
	const object = deployment({ spec: { replicas: 3, template: frozen({}) } });
	const scaled = writeScale(scalable(), object, 5);
	t.deepEqual(scaled.spec, { replicas: 5, template: {} });
	t.is(scaled.metadata, object.metadata);
	t.is(writeScale(scalable(), object, 3), object);
	t.deepEqual(writeScale(scalable(), deployment({}), 1).spec, { replicas: 1 });
});

test('a kind without a scale subresource has no Scale', (t) => {
	const plain = { ...scalable(), subresources: {} };
	t.throws(() => readScale(plain, deployment({})), { message: 'deployments have no scale subresource' });
});
