import { readdir, readFile } from 'node:fs/promises';
import test from 'ava';
import { parse } from 'yaml';
import type { Dynamic } from '../../src/kinds/index.ts';
import { world } from '../client/world.ts';

const folder = new URL('../../docs/examples/', import.meta.url);

test('every manifest among the examples is accepted strictly', async (t) => {
	const { client } = await world(t);
	const files = (await readdir(folder)).filter((file) => file.endsWith('.yaml'));
	t.true(files.length > 0);
	for (const file of files) {
		const object = parse(await readFile(new URL(file, folder), 'utf8')) as Dynamic;
		const kind = client.registry.of(object.apiVersion, object.kind);
		t.truthy(kind, file);
		if (!kind) continue;
		const how = { fieldManager: 'test', fieldValidation: 'Strict', dryRun: true } as const;
		await t.notThrowsAsync(
			client.patch(kind, object.metadata, { type: 'apply', body: object, force: true }, how),
			file,
		);
	}
});
