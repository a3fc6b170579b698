/** What is said of an applied configuration that does not fit the schema of its kind, in the words of Kubernetes. */
import { formatPath, pathOf } from '../../kinds/fieldset.ts';
import { objectMergeType } from '../../kinds/mergetype.ts';
import type { Dynamic } from '../../kinds/object.ts';
import type { Schema, Schemas } from '../../kinds/schema.ts';
import { type ApiError, badRequest } from '../../kinds/status.ts';

/** 400. Kubernetes answers 500, to which clients react by trying again. */
export function untypedPatch({ apiVersion, kind, metadata }: Dynamic, problems: readonly string[]): ApiError {
	const { namespace = '', name = '' } = metadata;
	const version = apiVersion.includes('/') ? apiVersion : `/${apiVersion}`;
	const [first] = problems;
	const said = problems.length === 1 ? first : `errors:\n${problems.map((problem) => `  ${problem}`).join('\n')}`;
	return badRequest(`failed to create typed patch object (${namespace}/${name}; ${version}, Kind=${kind}): ${said}`);
}

/** The error of fields that the schema does not have. `paths` lead to them. */
export function undeclared(
	applied: Dynamic,
	paths: readonly (readonly (string | number)[])[],
	schema: Schema,
	schemas: Schemas,
): ApiError {
	const type = objectMergeType(schema, schemas);
	const escaped = (part: string | number) => String(part).replaceAll('~', '~0').replaceAll('/', '~1');
	const fields = paths.map((path) => formatPath(pathOf(type, applied, `/${path.map(escaped).join('/')}`)));
	return untypedPatch(
		applied,
		fields.map((field) => `${field}: field not declared in schema`),
	);
}
