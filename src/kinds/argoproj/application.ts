import { kind } from '../declare.ts';
import type { Column, Health, Kind } from '../kind.ts';
import type { KubeObject } from '../object.ts';
import { type FieldError, fieldError } from '../status.ts';
import { applicationSchemas } from './schema.ts';
import type { ApplicationSpec, ApplicationStatus, Operation } from './types.ts';

export interface Application extends KubeObject {
	spec: ApplicationSpec;
	status?: ApplicationStatus;
	/** A request to sync, set by a client and taken away by the controller that starts it. */
	operation?: Operation;
}

/**
 * Bytes of JSON that an operation may have, and the sources: the status repeats them, beside all else that it tells, and an object is
 * bounded. Of larger ones there would be no room for an answer.
 */
const MAX_REPEATED_BYTES = 65_536;

const text = (name: string, priority: 0 | 1, description: string, cell: Column<Application>['cell']) =>
	({ name, type: 'string', priority, description, cell }) satisfies Column<Application>;

/**
 * Argo CD's Application. Source: Argo CD documentation, "Application Specification Reference".
 *
 * In one thing it differs from there: the status has a subresource, as the kinds of Kubernetes have it, so that applying
 * a manifest never touches what the controller reports. But a write of the object may end the sync that runs, since that is
 * how clients of Argo CD do it.
 */
export const Application: Kind<Application> = kind<Application>({
	group: 'argoproj.io',
	version: 'v1alpha1',
	kind: 'Application',
	plural: 'applications',
	schema: 'io.argoproj.v1alpha1.Application',
	schemas: applicationSchemas,
	shortNames: ['app', 'apps'],
	subresources: { status: true, actions: ['blame', 'manifests', 'plan'] },
	statusOnUpdate: terminated,
	generation: true,
	columns: [
		text('Sync Status', 0, 'Whether the cluster is as the source says.', ({ status }) => status?.sync?.status ?? ''),
		text('Health Status', 0, 'Whether the application works.', ({ status }) => status?.health?.status ?? ''),
		text(
			'Revision',
			1,
			'The revision of the source.',
			({ status: { sync } = {} }) => sync?.revision ?? sync?.revisions?.join(',') ?? '',
		),
		text('Project', 1, 'The project it belongs to.', ({ spec }) => spec.project ?? ''),
	],
	validate({ spec, operation }) {
		const errors: FieldError[] = [];
		if (isTooLong(operation)) errors.push(fieldError.tooLong('operation', MAX_REPEATED_BYTES));
		if (!spec) return [fieldError.required('spec')];
		const { destination, source, sources = [], sourceHydrator } = spec;
		if (!source && sources.length === 0 && !sourceHydrator)
			errors.push(fieldError.required('spec.source', 'one of spec.source and spec.sources is required'));
		if (destination?.server && destination.name)
			errors.push(fieldError.invalid('spec.destination', destination, "can't have both name and server defined"));
		const each = [
			...(source ? [['spec.source', source] as const] : []),
			...sources.map((item, index) => [`spec.sources[${index}]`, item] as const),
		];
		for (const [path, item] of each) {
			if (!item.repoURL) errors.push(fieldError.required(`${path}.repoURL`));
		}
		for (const field of ['source', 'sources'] as const)
			if (isTooLong(spec[field])) errors.push(fieldError.tooLong(`spec.${field}`, MAX_REPEATED_BYTES));
		return errors;
	},
	health,
});

const isTooLong = (value: unknown) =>
	value !== undefined && Buffer.byteLength(JSON.stringify(value)) > MAX_REPEATED_BYTES;

type Status = Application['status'];

function terminated(sent: unknown, stored: unknown): Status {
	const status = stored as Status;
	const running = status?.operationState?.phase === 'Running';
	const asks = (sent as Status)?.operationState?.phase === 'Terminating';
	if (!running || !asks || !status.operationState) return status;
	return { ...status, operationState: { ...status.operationState, phase: 'Terminating' } };
}

/** An application within an application is as healthy as it says. Source: Argo CD documentation, "Resource Health". */
function health({ status }: Application): Health {
	const reported = status?.health;
	return reported?.status
		? { status: reported.status, message: reported.message }
		: { status: 'Progressing', message: 'Waiting for the first health assessment' };
}
