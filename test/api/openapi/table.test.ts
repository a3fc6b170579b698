import test from 'ava';
import { toPartialList, toTable } from '../../../src/api/table.ts';
import { deployment } from '../patch/deployment.ts';
import { Deployment } from './registry.ts';

const created = '2025-01-01T00:00:00Z';
const now = Date.parse('2025-01-01T00:01:00Z');
const web = deployment({ spec: { replicas: 3 } }, { creationTimestamp: created, resourceVersion: '7' });

test('a table has the name first, then the columns of the kind', (t) => {
	const table = toTable(Deployment, [web], { now, resourceVersion: '9', continue: 'more', remainingItemCount: 4 });
	t.like(table, {
		kind: 'Table',
		apiVersion: 'meta.k8s.io/v1',
		metadata: { resourceVersion: '9', continue: 'more', remainingItemCount: 4 },
	});
	t.deepEqual(
		table.columnDefinitions?.map(({ name, type, format, priority }) => [name, type, format, priority]),
		[
			['Name', 'string', 'name', 0],
			['Desired', 'integer', '', 0],
			['Seconds', 'integer', '', 1],
		],
	);
	t.deepEqual(table.rows, [
		{
			cells: ['web', 3, 60],
			object: { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: web.metadata },
		},
	]);
});

test('rows carry the object, its metadata or nothing, as asked', (t) => {
	const objectOf = (includeObject: 'None' | 'Metadata' | 'Object') =>
		toTable(Deployment, [web], { now, includeObject }).rows[0]?.object;
	t.is(objectOf('None'), null);
	t.is(objectOf('Metadata')?.kind, 'PartialObjectMetadata');
	t.is(objectOf('Object'), web);
});

test('only the first event of a watch carries the columns', (t) => {
	t.is(toTable(Deployment, [web], { now, columns: false }).columnDefinitions, null);
});

test('an empty table still says what its columns are', (t) => {
	const { columnDefinitions, rows } = toTable(Deployment, [], { now });
	t.is(columnDefinitions?.length, 3);
	t.deepEqual(rows, []);
});

test('a client may ask for the metadata alone', (t) => {
	t.deepEqual(toPartialList([web], { resourceVersion: '9' }), {
		kind: 'PartialObjectMetadataList',
		apiVersion: 'meta.k8s.io/v1',
		metadata: { resourceVersion: '9' },
		items: [{ kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: web.metadata }],
	});
});
