/** Objects that are larger than the store takes: refused by their size alone, before anything else is found out about them. */
import test from 'ava';
import { limits } from '../../src/api/limits.ts';
import { ConfigMap, type Dynamic, Node } from '../../src/kinds/index.ts';
import { type Ask, admin, serveTestApi } from '../testbed/api.ts';
import { configMap } from './objects.ts';

const server = await serveTestApi();
test.after.always(() => server[Symbol.asyncDispose]());

const maps = '/api/v1/namespaces/default/configmaps';
/** Data that breaks two rules of its kind as well, each of which is told where the object is small enough to be stored. */
const much = { '..': '', text: 'x'.repeat(limits.object) };
const whole = (name: string, metadata: object = {}, data: object = much): Dynamic => ({
	...configMap(name),
	metadata: { name, ...metadata },
	data,
});
const patch = (type: string, body: unknown): Ask => ({ method: 'PATCH', headers: { 'content-type': type }, body });
const owner = { manager: 'other', operation: 'Update', apiVersion: 'v1', fieldsType: 'FieldsV1' };
const owned = (fields: number) => ({
	managedFields: [
		{
			...owner,
			fieldsV1: { 'f:data': Object.fromEntries(Array.from({ length: fields }, (_, at) => [`f:field-${at}`, {}])) },
		},
	],
});
const path = `${maps}/there`;

test.before(async () => {
	await server.api.create({ kind: ConfigMap, namespace: 'default' }, configMap('there', { text: 'a' }), {}, admin);
});

const requests: Readonly<Record<string, readonly [path: string, ask: Ask]>> = {
	'a create': [maps, { body: whole('new') }],
	'a create of what is there already': [maps, { body: whole('there') }],
	'a create of a name that is to be given': [maps, { body: { ...whole(''), metadata: { generateName: 'new' } } }],
	'a create as a dry run': [`${maps}?dryRun=All`, { body: whole('new') }],
	'an update': [path, { method: 'PUT', body: whole('there') }],
	'an update of another state': [path, { method: 'PUT', body: whole('there', { uid: 'another' }) }],
	'an update with more owners than can be stored': [
		path,
		{ method: 'PUT', body: whole('there', owned(100_000), { '..': '' }) },
	],
	'a merge patch': [path, patch('application/merge-patch+json', { data: much })],
	'a strategic merge patch': [path, patch('application/strategic-merge-patch+json', { data: much })],
	'a JSON patch': [path, patch('application/json-patch+json', [{ op: 'add', path: '/data', value: much }])],
	'an apply that conflicts': [
		`${path}?fieldManager=new`,
		patch('application/apply-patch+yaml', JSON.stringify(whole('there'))),
	],
	'an apply of what is not there': [
		`${maps}/new?fieldManager=new`,
		patch('application/apply-patch+yaml', JSON.stringify(whole('new'))),
	],
};

for (const [name, [path, ask]] of Object.entries(requests))
	test(`${name} is told that the object is too large, and nothing else of it`, async (t) => {
		const { code, body } = await server.ask(path, ask);
		t.is(code, 413, body.message);
		t.is(body.reason, 'RequestEntityTooLarge');
		t.regex(body.message, /^ConfigMap "(new|there)" is too large: at least \d+ bytes, the limit is \d+$/);
	});

test('what is not stored does not make an object too large: owners that a create names, fields that nobody knows', async (t) => {
	const { code, body } = await server.ask(`${maps}?fieldValidation=Ignore`, {
		body: { ...whole('light', owned(80_000), {}), unknown: 'x'.repeat(1_000_000) },
	});
	t.is(code, 201, body.message);
});

test('an object counts by what it says, and not by how long a request is that says it', async (t) => {
	const node = (length: number) => ({
		apiVersion: 'v1',
		kind: 'Node',
		metadata: { name: 'large' },
		status: { conditions: [{ type: 'Ready', status: 'True', message: '\\u0061'.repeat(length) }] },
	});
	await server.api.create({ kind: Node }, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'large' } }, {}, admin);
	// Six bytes of the request are one of the object.
	const text = JSON.stringify(node(400_000)).replaceAll('\\\\u', '\\u');
	const { code, body } = await server.ask('/api/v1/nodes/large/status', { method: 'PUT', body: text });
	t.is(code, 200, body.message);
	t.is(body.status.conditions[0].message.length, 400_000);
});
