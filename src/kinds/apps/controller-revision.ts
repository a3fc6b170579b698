import type * as apps from 'kubernetes-types/apps/v1.js';
import { checkNonNegative } from '../checks.ts';
import { age, column, kind } from '../declare.ts';
import { deepEqual } from '../equal.ts';
import { type Kind, parseApiVersion } from '../kind.ts';
import type { Persisted } from '../object.ts';
import { type FieldError, fieldError } from '../status.ts';

export type ControllerRevision = Persisted<apps.ControllerRevision>;

/** Source: Kubernetes API reference, "ControllerRevision". */
export const ControllerRevision: Kind<ControllerRevision> = kind<ControllerRevision>({
	group: 'apps',
	version: 'v1',
	kind: 'ControllerRevision',
	plural: 'controllerrevisions',
	schema: 'io.k8s.api.apps.v1.ControllerRevision',
	columns: [
		column('Controller', 'string', 'The object whose revision it is.', ({ metadata }) => {
			const owner = metadata.ownerReferences?.find(({ controller }) => controller);
			if (!owner) return '<none>';
			const { group } = parseApiVersion(owner.apiVersion);
			return `${owner.kind.toLowerCase()}${group && `.${group}`}/${owner.name}`;
		}),
		column('Revision', 'integer', 'The number of the revision.', ({ revision }) => revision),
		age,
	],
	validate(revision, old) {
		const errors: FieldError[] = [];
		if (revision.data === undefined || revision.data === null)
			errors.push(fieldError.required('data', 'data is mandatory'));
		checkNonNegative(revision.revision, 'revision', errors);
		if (old && !deepEqual(revision.data, old.data))
			errors.push(fieldError.invalid('data', revision.data ?? null, 'field is immutable'));
		return errors;
	},
});
