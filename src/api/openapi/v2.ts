/** OpenAPI 2.0 (Swagger), for clients that do not know version 3: one document for everything. */
import type { Kind } from '../../kinds/kind.ts';
import type { Schema, Schemas } from '../../kinds/schema.ts';
import { serverVersion } from '../discovery.ts';
import { definitionsOf } from './definitions.ts';
import { names, type Operation, type Path, pathParameters, pathsOf } from './operations.ts';

const json = 'application/json';
const yaml = 'application/yaml';

/** The document of all kinds. */
export function documentV2(kinds: readonly Kind[], schemas: Schemas): object {
	const paths = kinds.flatMap(pathsOf);
	const definitions = Object.entries(definitionsOf(kinds, paths, schemas));
	return {
		swagger: '2.0',
		info: { title: 'Kubernetes', version: serverVersion.gitVersion },
		paths: Object.fromEntries(paths.map((path) => [path.path, pathItem(path)])),
		definitions: Object.fromEntries(definitions.map(([name, schema]) => [name, schemaV2(schema)])),
		securityDefinitions: { BearerToken: { type: 'apiKey', name: 'authorization', in: 'header' } },
		security: [{ BearerToken: [] }],
	};
}

function pathItem({ path, operations }: Path): object {
	const inPath = Object.entries(pathParameters).filter(([name]) => path.includes(`{${name}}`));
	const string = { type: 'string', uniqueItems: true };
	return {
		...Object.fromEntries(operations.map((operation) => [operation.method, operationV2(operation)])),
		parameters: [
			...inPath.map(([name, description]) => ({ name, in: 'path', description, required: true, ...string })),
			{ name: 'pretty', in: 'query', description: 'Whether the answer is indented.', ...string },
		],
	};
}

function operationV2(operation: Operation): object {
	const { action, id, description, about, query, body, answer, patches } = operation;
	const ok = { description: 'OK', schema: answer ? { $ref: `#/definitions/${answer}` } : { type: 'string' } };
	return {
		tags: [about.group ? `${about.group}_${about.version}` : `core_${about.version}`],
		description,
		operationId: id,
		consumes: patches ?? ['*/*'],
		produces: answer ? [json, yaml] : ['text/plain'],
		schemes: ['https'],
		parameters: [
			...(body
				? [
						{
							name: 'body',
							in: 'body',
							...(body !== names.deleteOptions && { required: true }),
							schema: { $ref: `#/definitions/${body}` },
						},
					]
				: []),
			...query.map(({ name, type, description }) => ({ name, in: 'query', description, type, uniqueItems: true })),
		],
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

/** A schema as version 2 can say it: a reference with siblings instead of allOf, and a string instead of a choice of types. */
export function schemaV2(schema: Schema): object {
	const { $ref, allOf, properties, items, additionalProperties, ...rest } = schema;
	const target = $ref ?? allOf?.[0]?.$ref;
	const { oneOf, ...plain } = rest as typeof rest & { oneOf?: unknown };
	return {
		...plain,
		...(oneOf !== undefined && !plain.type && { type: 'string' }),
		...(target && { $ref: target.replace('#/components/schemas/', '#/definitions/') }),
		...(properties && {
			properties: Object.fromEntries(Object.entries(properties).map(([name, property]) => [name, schemaV2(property)])),
		}),
		...(items && { items: schemaV2(items) }),
		...(typeof additionalProperties === 'object' && { additionalProperties: schemaV2(additionalProperties) }),
		...(typeof additionalProperties === 'boolean' && { additionalProperties }),
	};
}
