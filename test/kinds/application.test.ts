import { readFileSync } from 'node:fs';
import test from 'ava';
import { Application } from '../../src/kinds/argoproj/application.ts';
import { applicationSchemas } from '../../src/kinds/argoproj/schema.ts';

/** Types that have another name in Argo CD's schema. */
const aliases: Readonly<Record<string, string>> = {
	ApplicationHealth: 'AppHealthStatus',
	JsonnetVariable: 'JsonnetVar',
	SourceDirectory: 'ApplicationSourceDirectory',
	SourceHelm: 'ApplicationSourceHelm',
	SourceKustomize: 'ApplicationSourceKustomize',
	SourcePlugin: 'ApplicationSourcePlugin',
};

/** The fields of each interface, and whether each is required: those indented by one tab. */
function interfaces(source: string): Map<string, Map<string, boolean>> {
	const found = new Map<string, Map<string, boolean>>();
	for (const [, name = '', body = ''] of source.matchAll(/^export interface (\w+)[^{]*\{\n([\s\S]*?)^\}/gm)) {
		const fields = [...body.matchAll(/^\t(\w+)(\?)?:/gm)].map(
			([, field = '', optional]) => [field, !optional] as const,
		);
		found.set(name, new Map(fields));
	}
	return found;
}

const types = interfaces(readFileSync(new URL('../../src/kinds/argoproj/types.ts', import.meta.url), 'utf8'));

test('the types of Application are found', (t) => {
	t.true(types.size > 25);
	t.true(types.get('ApplicationSpec')?.get('project'));
	t.false(types.get('ApplicationSpec')?.get('source'));
});

for (const [name, fields] of types)
	test(`${name} has the same fields as a type and as a schema`, (t) => {
		const schema = applicationSchemas[`io.argoproj.v1alpha1.${aliases[name] ?? name}`];
		t.truthy(schema, 'a field without schema is dropped when it is written');
		const inherited = name === 'Application' ? ['apiVersion', 'kind', 'metadata'] : [];
		t.deepEqual(Object.keys(schema?.properties ?? {}).sort(), [...fields.keys(), ...inherited].sort());
		const required = [...fields].filter(([, isRequired]) => isRequired).map(([field]) => field);
		t.deepEqual((schema?.required ?? []).filter((field) => !inherited.includes(field)).toSorted(), required.sort());
	});

test('what the status repeats leaves room for it: a longer operation or source is refused when it is written', (t) => {
	const application = (more: Partial<Application>, bytes = 0): Application => ({
		apiVersion: 'argoproj.io/v1alpha1',
		kind: 'Application',
		metadata: { name: 'a', namespace: 'default' },
		...more,
		spec: {
			project: 'default',
			source: { repoURL: 'https://x', helm: { values: 'x'.repeat(bytes) } },
			destination: {},
			...more.spec,
		},
	});
	const told = (object: Application) =>
		Application.validate(object, undefined).map(({ field, detail }) => [field, detail]);
	const tooLong = 'Too long: may not be more than 65536 bytes';
	t.deepEqual(told(application({ operation: { sync: { manifests: ['x'.repeat(65_000)] } } }, 65_000)), []);
	t.deepEqual(told(application({ operation: { sync: { manifests: ['x'.repeat(66_000)] } } })), [
		['operation', tooLong],
	]);
	t.deepEqual(told(application({}, 66_000)), [['spec.source', tooLong]]);
});
