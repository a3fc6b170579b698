/** The refusal of an apply that would change what others own, in the words of Kubernetes, which kubectl shows. */
import { formatPath, walk } from '../../kinds/fieldset.ts';
import type { FieldsV1 } from '../../kinds/object.ts';
import { ApiError } from '../../kinds/status.ts';
import type { Owner } from './ownership.ts';

/** Fields that an apply would change and another manager owns. */
export interface OwnershipConflict {
	readonly owner: Owner;
	readonly fields: FieldsV1;
}

/** 409 with one cause for each field. */
export function applyConflict(conflicts: readonly OwnershipConflict[]): ApiError {
	const found = conflicts
		.map(({ owner, fields }) => ({ name: nameOf(owner), paths: pathsOf(fields) }))
		.sort((a, b) => (a.name < b.name ? -1 : 1));
	const causes = found.flatMap(({ name, paths }) =>
		paths.map((field) => ({ reason: 'FieldManagerConflict', message: `conflict with ${name}`, field })),
	);
	const [only] = causes;
	if (causes.length === 1 && only) {
		const message = `Apply failed with 1 conflict: ${only.message}: ${only.field}`;
		return new ApiError(409, 'Conflict', message, { causes });
	}
	const lines = found.flatMap(({ name, paths }) => [`conflicts with ${name}:`, ...paths.map((path) => `- ${path}`)]);
	return new ApiError(409, 'Conflict', `Apply failed with ${causes.length} conflicts: ${lines.join('\n')}`, { causes });
}

function nameOf(owner: Owner): string {
	const name = JSON.stringify(owner.manager) + (owner.subresource ? ` with subresource "${owner.subresource}"` : '');
	return owner.operation === 'Update' ? `${name} using ${owner.apiVersion}` : name;
}

function pathsOf(fields: FieldsV1): string[] {
	const paths: string[] = [];
	walk(fields, (path) => paths.push(formatPath(path)));
	return paths;
}
