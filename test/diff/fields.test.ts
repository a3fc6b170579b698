import test from 'ava';
import { differences, indexesInto } from '../../src/diff/index.ts';
import { formatPath } from '../../src/kinds/fieldset.ts';
import { Deployment, loadRegistry } from '../../src/kinds/index.ts';

const { schemas } = loadRegistry();
const schema = schemas[Deployment.schema];

const deployment = (change: (draft: ReturnType<typeof base>) => void = () => {}) => {
	const draft = base();
	change(draft);
	return draft;
};
const base = () => ({
	apiVersion: 'apps/v1',
	kind: 'Deployment',
	metadata: { name: 'web', labels: { app: 'web' } as Record<string, string>, resourceVersion: '1', generation: 1 },
	spec: {
		replicas: 3,
		template: {
			spec: {
				containers: [
					{ name: 'web', image: 'a:1', ports: [{ containerPort: 80, protocol: 'TCP' }], args: ['x', 'y'] },
					{
						name: 'log',
						image: 'b:1',
						ports: [] as { containerPort: number; protocol?: string }[],
						args: [] as string[],
					},
				],
			},
		},
	},
	status: { replicas: 3 },
});
const found = (live: object, desired: object) =>
	differences(live, desired, schema, schemas).map((each) => [formatPath(each.path), each.live, each.desired]);

test('equal objects have no differences, whatever the order of their fields', (t) => {
	t.deepEqual(found(deployment(), deployment()), []);
	const one = { metadata: { annotations: { a: '1', constructor: '2' } }, spec: { x: [1, { y: 2, z: 3 }] } };
	const other = { spec: { x: [1, { z: 3, y: 2 }] }, metadata: { annotations: { constructor: '2', a: '1' } } };
	t.deepEqual(found(one, other), []);
});

test('a null is no value: it is no difference to a field that is not there', (t) => {
	const live = { spec: { kept: null, list: [{ a: 1, b: null }], set: null } };
	const desired = { spec: { list: [{ a: 1 }], set: 2 } };
	t.deepEqual(found(live, desired), [['.spec.set', null, 2]]);
	t.deepEqual(found(desired, live), [['.spec.set', 2, null]]);
});

test('what every object inherits is no field of it', (t) => {
	const annotated = { metadata: { annotations: { constructor: 'x' } } };
	t.deepEqual(found({ metadata: { annotations: { a: 'x' } } }, annotated), [
		['.metadata.annotations.a', 'x', undefined],
		['.metadata.annotations.constructor', undefined, 'x'],
	]);
});

test('a difference names the deepest field', (t) => {
	t.deepEqual(
		found(
			deployment((d) => {
				d.spec.replicas = 5;
			}),
			deployment(),
		),
		[['.spec.replicas', 5, 3]],
	);
});

test('items of a keyed list are told by their keys, not by their place', (t) => {
	const live = deployment((d) => {
		d.spec.template.spec.containers.reverse();
		const web = d.spec.template.spec.containers[1];
		if (web) web.image = 'evil:1';
	});
	t.deepEqual(found(live, deployment()), [['.spec.template.spec.containers[name="web"].image', 'evil:1', 'a:1']]);
});

test('the defaults of list keys count: a port without a protocol is a TCP port', (t) => {
	const live = deployment((d) => {
		d.spec.template.spec.containers[1]?.ports.push({ containerPort: 9 });
	});
	const desired = deployment((d) => {
		d.spec.template.spec.containers[1]?.ports.push({ containerPort: 9, protocol: 'TCP' });
	});
	t.deepEqual(found(live, desired), [
		['.spec.template.spec.containers[name="log"].ports[containerPort=9,protocol="TCP"].protocol', undefined, 'TCP'],
	]);
});

test('an item on one side only is one difference, as a whole', (t) => {
	const desired = deployment((d) => {
		d.spec.template.spec.containers.pop();
	});
	t.deepEqual(found(deployment(), desired), [
		['.spec.template.spec.containers[name="log"]', deployment().spec.template.spec.containers[1], undefined],
	]);
});

test('an atomic list differs as a whole', (t) => {
	const live = deployment((d) => {
		d.spec.template.spec.containers[0]?.args.push('z');
	});
	t.deepEqual(found(live, deployment()), [
		['.spec.template.spec.containers[name="web"].args', ['x', 'y', 'z'], ['x', 'y']],
	]);
});

test('a keyed list in another order differs as a whole', (t) => {
	const live = deployment((d) => void d.spec.template.spec.containers.reverse());
	t.deepEqual(
		found(live, deployment()).map(([path]) => path),
		['.spec.template.spec.containers'],
	);
});

test('status and what the server writes into metadata are no difference', (t) => {
	const live = deployment((d) => {
		d.status.replicas = 1;
		d.metadata.resourceVersion = '9';
		d.metadata.generation = 7;
	});
	t.deepEqual(found(live, deployment()), []);
	t.deepEqual(
		found(
			deployment((d) => {
				d.metadata.labels.app = 'x';
			}),
			deployment(),
		),
		[['.metadata.labels.app', 'x', 'web']],
	);
});

test('a path leads to the field in another object of the same kind, as far as that has it', (t) => {
	const [difference] = differences(
		deployment((d) => {
			const web = d.spec.template.spec.containers[0];
			if (web) web.image = 'x';
		}),
		deployment(),
		schema,
		schemas,
	);
	const reversed = deployment((d) => void d.spec.template.spec.containers.reverse());
	t.deepEqual(indexesInto(reversed, difference?.path ?? []), ['spec', 'template', 'spec', 'containers', 1, 'image']);
	t.deepEqual(indexesInto({ spec: {} }, difference?.path ?? []), ['spec', 'template']);
});
