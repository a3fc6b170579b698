/** OpenAPI 3.0: one document a group version. */
import type { Kind } from '../../kinds/kind.ts';
import type { Schemas } from '../../kinds/schema.ts';
import { serverVersion } from '../discovery.ts';
import { definitionsOf } from './definitions.ts';
import { names, type Operation, type Path, pathParameters, pathsOf } from './operations.ts';

const reference = (name: string) => ({ $ref: `#/components/schemas/${name}` });
const json = 'application/json';
const yaml = 'application/yaml';

/** The document of the kinds of one group version. */
export function documentV3(kinds: readonly Kind[], schemas: Schemas) {
	const paths = kinds.flatMap(pathsOf);
	return {
		openapi: '3.0.0',
		info: { title: 'Kubernetes', version: serverVersion.gitVersion },
		paths: Object.fromEntries(paths.map((path) => [path.path, pathItem(path)])),
		components: { schemas: definitionsOf(kinds, paths, schemas) },
	};
}

function pathItem({ path, operations }: Path): object {
	const inPath = Object.entries(pathParameters).filter(([name]) => path.includes(`{${name}}`));
	return {
		...Object.fromEntries(operations.map((operation) => [operation.method, operationV3(operation)])),
		parameters: [
			...inPath.map(([name, description]) => ({ name, in: 'path', description, required: true, schema: string })),
			{ name: 'pretty', in: 'query', description: 'Whether the answer is indented.', schema: string },
		],
	};
}

const string = { type: 'string', uniqueItems: true };

function operationV3(operation: Operation): object {
	const { action, id, description, about, query, body, answer, patches } = operation;
	const content = (schema: string, types: readonly string[]) =>
		Object.fromEntries(types.map((type) => [type, { schema: reference(schema) }]));
	const ok = {
		description: 'OK',
		content: answer ? content(answer, [json, yaml]) : { 'text/plain': { schema: { type: 'string' } } },
	};
	return {
		tags: [about.group ? `${about.group}_${about.version}` : `core_${about.version}`],
		description,
		operationId: id,
		parameters: query.map(({ name, type, description }) => ({
			name,
			in: 'query',
			description,
			schema: { type, uniqueItems: true },
		})),
		...(body && {
			requestBody: {
				content: content(body, patches ?? ['*/*']),
				...(body !== names.deleteOptions && { required: true }),
			},
		}),
		responses: {
			'200': ok,
			...((action === 'post' || action === 'put' || action === 'patch') && {
				'201': { ...ok, description: 'Created' },
			}),
			...((action === 'post' || action === 'delete') && { '202': { ...ok, description: 'Accepted' } }),
			'401': { description: 'Unauthorized' },
		},
		'x-kubernetes-action': action,
		'x-kubernetes-group-version-kind': about,
	};
}
