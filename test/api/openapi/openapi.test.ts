import test from 'ava';
import { type Document, openApiV2, openApiV3 } from '../../../src/api/openapi/index.ts';
import type { Kind } from '../../../src/kinds/kind.ts';
import { createRegistry, type Registry } from '../../../src/kinds/registry.ts';
import { loadSchemas } from '../../../src/kinds/schemas.ts';
import { Deployment, Pod, registry } from './registry.ts';

interface OpenApi {
	paths: Record<string, Record<string, Operation> & { parameters: Parameter[]; serverRelativeURL: string }>;
	components: { schemas: Record<string, object> };
	definitions: Record<string, object>;
}
interface Operation {
	operationId: string;
	parameters: Parameter[];
	requestBody?: { content: object };
	consumes?: string[];
	'x-kubernetes-action': string;
	'x-kubernetes-group-version-kind': object;
}
interface Parameter {
	name: string;
	in: string;
}

const parse = (document: Document | undefined): OpenApi => JSON.parse(Buffer.from(document?.bytes ?? '').toString());
const apps = parse(openApiV3(registry).document('apis/apps/v1'));
const one = '/apis/apps/v1/namespaces/{namespace}/deployments/{name}';

test('the index leads to each group version by the hash of its document', (t) => {
	const v3 = openApiV3(registry);
	const { paths } = parse(v3.index);
	t.deepEqual(Object.keys(paths), [
		'api/v1',
		'apis/apps/v1',
		'apis/example.com/v1',
		'apis/example.com/v1alpha1',
		'apis/example.com/v1beta1',
	]);
	t.is(paths['apis/apps/v1']?.serverRelativeURL, `/openapi/v3/apis/apps/v1?hash=${v3.document('apis/apps/v1')?.hash}`);
	t.is(v3.document('apis/nobody/v1'), undefined);
});

test('each verb of each path is an operation', (t) => {
	const verbs = (path: string) => {
		const { parameters, ...operations } = apps.paths[path] ?? {};
		return Object.entries(operations as Record<string, Operation>).map(
			([method, operation]) => `${method} ${operation['x-kubernetes-action']} ${operation.operationId}`,
		);
	};
	t.deepEqual(verbs(one), [
		'get get readAppsV1NamespacedDeployment',
		'put put replaceAppsV1NamespacedDeployment',
		'patch patch patchAppsV1NamespacedDeployment',
		'delete delete deleteAppsV1NamespacedDeployment',
	]);
	t.deepEqual(verbs('/apis/apps/v1/namespaces/{namespace}/deployments'), [
		'get list listAppsV1NamespacedDeployment',
		'post post createAppsV1NamespacedDeployment',
		'delete deletecollection deleteAppsV1CollectionNamespacedDeployment',
	]);
	t.deepEqual(verbs('/apis/apps/v1/deployments'), ['get list listAppsV1DeploymentForAllNamespaces']);
	t.deepEqual(verbs(`${one}/scale`), [
		'get get readAppsV1NamespacedDeploymentScale',
		'put put replaceAppsV1NamespacedDeploymentScale',
		'patch patch patchAppsV1NamespacedDeploymentScale',
	]);
	const core = parse(openApiV3(registry).document('api/v1'));
	t.deepEqual(Object.keys(core.paths).slice(0, 3), [
		'/api/v1/namespaces',
		'/api/v1/namespaces/{name}',
		'/api/v1/namespaces/{namespace}/pods',
	]);
	t.is(core.paths['/api/v1/namespaces/{namespace}/pods/{name}/exec']?.get?.['x-kubernetes-action'], 'connect');
});

test('a patch says of which kind it is and which parameters it takes: clients look before they send them', (t) => {
	const patch = apps.paths[one]?.patch;
	t.deepEqual(patch?.['x-kubernetes-group-version-kind'], { group: 'apps', version: 'v1', kind: 'Deployment' });
	t.deepEqual(
		patch?.parameters.map(({ name, in: place }) => `${place} ${name}`),
		['query dryRun', 'query fieldManager', 'query fieldValidation', 'query force'],
	);
	t.deepEqual(
		apps.paths[one]?.parameters.map(({ name, in: place }) => `${place} ${name}`),
		['path name', 'path namespace', 'query pretty'],
	);
	t.deepEqual(Object.keys(patch?.requestBody?.content ?? {}), [
		'application/json-patch+json',
		'application/merge-patch+json',
		'application/strategic-merge-patch+json',
		'application/apply-patch+yaml',
	]);
	const widgets = parse(openApiV3(registry).document('apis/example.com/v1'));
	const custom = widgets.paths['/apis/example.com/v1/namespaces/{namespace}/widgets/{name}']?.patch;
	t.false('application/strategic-merge-patch+json' in (custom?.requestBody?.content ?? {}), 'not for custom resources');
});

test('every reference of a document leads to a schema in it', (t) => {
	const documents: [OpenApi, Record<string, object>][] = [
		...['api/v1', 'apis/apps/v1', 'apis/example.com/v1'].map((path): [OpenApi, Record<string, object>] => {
			const document = parse(openApiV3(registry).document(path));
			return [document, document.components.schemas];
		}),
	];
	const v2 = parse(openApiV2(registry));
	documents.push([v2, v2.definitions]);
	for (const [document, schemas] of documents) {
		const references = JSON.stringify(document).matchAll(/"\$ref":"#\/(?:components\/schemas|definitions)\/([^"]+)"/g);
		const names = new Set([...references].map(([, name]) => name ?? ''));
		t.true(names.size > 0);
		for (const name of names) t.true(name in schemas, name);
	}
});

test('schemas of kinds and lists are found by group, version and kind', (t) => {
	const widgets = parse(openApiV3(registry).document('apis/example.com/v1')).components.schemas;
	t.like(widgets['com.example.Widget'], {
		'x-kubernetes-group-version-kind': [{ group: 'example.com', version: 'v1', kind: 'Widget' }],
	});
	t.like(widgets['com.example.WidgetList'], {
		required: ['items'],
		'x-kubernetes-group-version-kind': [{ group: 'example.com', version: 'v1', kind: 'WidgetList' }],
	});
	t.false('io.k8s.api.core.v1.Node' in apps.components.schemas, 'only what the group version needs');
});

test('version 2 says it in its own words', (t) => {
	const v2 = parse(openApiV2(registry));
	t.like(v2, { swagger: '2.0' });
	t.deepEqual(v2.paths[one]?.patch?.consumes?.at(-1), 'application/apply-patch+yaml');
	t.like(v2.definitions['io.k8s.api.apps.v1.Deployment'], {
		properties: { spec: { $ref: '#/definitions/io.k8s.api.apps.v1.DeploymentSpec' } },
	});
	t.like(v2.definitions['io.k8s.apimachinery.pkg.util.intstr.IntOrString'], {
		type: 'string',
		format: 'int-or-string',
	});
	t.notRegex(Buffer.from(openApiV2(registry).bytes).toString(), /"(allOf|oneOf)"/);
});

test('documents are built once, and anew when the kinds change', (t) => {
	const kinds: Kind[] = [Deployment];
	const changing: Registry = { ...registry, all: () => kinds };
	const before = openApiV3(changing);
	t.is(openApiV3(changing).index, before.index);
	t.is(before.document('api/v1'), undefined);
	kinds.push(Pod);
	t.not(openApiV3(changing).document('api/v1'), undefined);
	t.is(openApiV2(changing), openApiV2(changing));
});

test('when the kinds change, only the documents are built anew that speak of them', (t) => {
	const changing = createRegistry([Deployment], loadSchemas());
	const document = (path: string) => openApiV3(changing).document(path);
	const apps = document('apis/apps/v1');
	t.not(apps, undefined);
	const { index } = openApiV3(changing);
	changing.add(Pod);
	t.is(document('apis/apps/v1'), apps);
	t.not(openApiV3(changing).index.hash, index.hash);
	const core = document('api/v1');
	const told = { ...loadSchemas()[Deployment.schema], description: 'Told in other words.' };
	changing.add({ ...Deployment, schemas: { [Deployment.schema]: told } });
	t.is(document('api/v1'), core);
	t.regex(Buffer.from(document('apis/apps/v1')?.bytes ?? []).toString(), /Told in other words/);
	changing.remove(Pod);
	t.is(document('api/v1'), undefined);
});
