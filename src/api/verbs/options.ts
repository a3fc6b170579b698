/** Options of requests as clients send them. What is wrong with them is said as Kubernetes does: an invalid object of their kind. */
import { badRequest, type FieldError, fieldError, invalid } from '../../kinds/status.ts';
import type { DeleteOptions } from '../api.ts';
import { asText, isObject } from '../json.ts';

/** 422 for options that break a rule. `kind` is ListOptions, CreateOptions, and so on. */
export const invalidOptions = (kind: string, ...errors: readonly FieldError[]) =>
	invalid('meta.k8s.io', kind, '', errors);

/** The only value of dryRun is All; an empty list is none. Throws 422 for others. */
export function readDryRun(kind: string, values: readonly string[]): boolean {
	const given = values.filter((value) => value !== '');
	if (given.some((value) => value !== 'All'))
		throw invalidOptions(kind, fieldError.notSupported('dryRun', given, ['All']));
	return given.length > 0;
}

const policies = ['Foreground', 'Background', 'Orphan'] as const;
type Policy = (typeof policies)[number];
const isPolicy = (value: unknown): value is Policy => policies.some((policy) => policy === value);

/** A DeleteOptions object. Throws 400 for what is none, 422 for one that contradicts itself. */
export function readDeleteOptions(body: unknown): DeleteOptions {
	if (!isObject(body)) throw badRequest('the body is no DeleteOptions: it must be a JSON object');
	if (body.kind !== undefined && body.kind !== 'DeleteOptions')
		throw badRequest(`the body is a ${asText(body.kind)}, where DeleteOptions belong`);
	const { gracePeriodSeconds, preconditions } = body;
	if (gracePeriodSeconds != null && !Number.isInteger(gracePeriodSeconds))
		throw badRequest('gracePeriodSeconds must be a whole number');
	return {
		dryRun: readDryRun('DeleteOptions', Array.isArray(body.dryRun) ? body.dryRun.map(asText) : []),
		gracePeriodSeconds: typeof gracePeriodSeconds === 'number' ? gracePeriodSeconds : undefined,
		propagationPolicy: propagation(body),
		preconditions: isObject(preconditions)
			? { uid: text(preconditions.uid), resourceVersion: text(preconditions.resourceVersion) }
			: undefined,
	};
}

/** The policy, or what the deprecated orphanDependents says of it. */
function propagation({
	propagationPolicy: policy,
	orphanDependents: orphan,
}: Record<string, unknown>): Policy | undefined {
	const field = 'propagationPolicy';
	if (policy == null) return orphan === true ? 'Orphan' : orphan === false ? 'Background' : undefined;
	if (orphan != null)
		throw invalidOptions(
			'DeleteOptions',
			fieldError.invalid(field, policy, 'orphanDependents and deletionPropagation cannot be both set'),
		);
	if (!isPolicy(policy)) throw invalidOptions('DeleteOptions', fieldError.notSupported(field, policy, policies));
	return policy;
}

const text = (value: unknown) => (typeof value === 'string' && value !== '' ? value : undefined);
