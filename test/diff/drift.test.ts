import test from 'ava';
import { drift } from '../../src/diff/index.ts';
import { Deployment, type Dynamic, type Kind } from '../../src/kinds/index.ts';
import { world } from '../client/world.ts';

const kind = Deployment as unknown as Kind<Dynamic>;
const desired = (replicas: number, image = 'web:1'): Dynamic => ({
	apiVersion: 'apps/v1',
	kind: 'Deployment',
	metadata: { name: 'web', namespace: 'default' },
	spec: {
		replicas,
		selector: { matchLabels: { app: 'web' } },
		template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'web', image }] } },
	},
});

test('drift is what the next apply would change: as a patch, and by field with its owner', async (t) => {
	const { client } = await world(t);
	const apply = (object: Dynamic) =>
		client.patch(kind, object.metadata, { type: 'apply', body: object, force: true }, { fieldManager: 'driftless' });
	t.deepEqual(await drift(client, kind, desired(2), undefined, 'driftless'), { state: 'missing' });
	const applied = await apply(desired(2));
	t.deepEqual(await drift(client, kind, desired(2), applied, 'driftless'), { state: 'synced' });

	const scaled = await client.as('ada').patch(kind, applied.metadata, {
		type: 'merge',
		body: { spec: { replicas: 5 }, metadata: { labels: { by: 'hand' } } },
	});
	const found = await drift(client, kind, desired(2), scaled, 'driftless');
	t.is(found.state, 'changed');
	if (found.state !== 'changed') return;
	t.is(found.fields.length, 1, 'the label that nobody wants is left alone');
	t.like(found.fields[0], { path: [{ field: 'spec' }, { field: 'replicas' }], live: 5, desired: 2 });
	t.deepEqual(
		found.fields[0]?.owners.map(({ manager }) => manager),
		['ada'],
	);
	t.is(
		(await client.get(kind, applied.metadata)).spec &&
			((await client.get(kind, applied.metadata)).spec as { replicas: number }).replicas,
		5,
		'nothing was stored',
	);
});

test('a field that left the manifest is drift while only sync owns it', async (t) => {
	const { client } = await world(t);
	const labelled = { ...desired(2), metadata: { ...desired(2).metadata, labels: { old: 'yes' } } };
	const live = await client.patch(
		kind,
		labelled.metadata,
		{ type: 'apply', body: labelled, force: true },
		{ fieldManager: 'driftless' },
	);
	const found = await drift(client, kind, desired(2), live, 'driftless');
	t.is(
		found.state === 'changed' && JSON.stringify(found.fields.map(({ live, desired }) => [live, desired])),
		'[[{"old":"yes"},null]]',
	);
});

test('a cache that is behind makes no drift of what others wrote since', async (t) => {
	const { client } = await world(t);
	const stale = await client.patch(
		kind,
		desired(2).metadata,
		{ type: 'apply', body: desired(2), force: true },
		{ fieldManager: 'driftless' },
	);
	await client.as('controller').patch(kind, desired(2).metadata, {
		type: 'merge',
		body: { metadata: { annotations: { 'deployment.kubernetes.io/revision': '1' } } },
	});
	t.deepEqual(await drift(client, kind, desired(2), stale, 'driftless'), { state: 'synced' });
});
