/** What the action subresources of pods have in common, and the binding to a node. */

import type { Pod } from '../../kinds/core/pod.ts';
import { storageOf } from '../../kinds/kind.ts';
import type { Dynamic } from '../../kinds/object.ts';
import { badRequest, conflict, fieldError, invalid } from '../../kinds/status.ts';
import type { Caller, Stored, Target, WriteOptions } from '../api.ts';
import { copy, isObject } from '../json.ts';
import { StoredObject } from '../storage.ts';
import { type Asked, mutate, validate } from './admission.ts';
import { type Context, timestamp } from './context.ts';
import { change } from './update.ts';

/** What the metadata of a Binding may ask of the pod. */
const preconditions = [
	['UID', 'uid'],
	['ResourceVersion', 'resourceVersion'],
] as const;

/** Binds a pod to the node that a Binding names. Throws 409 where it has one. Answers with a Status, as Kubernetes does. */
export async function bind(
	context: Context,
	target: Target,
	body: unknown,
	options: WriteOptions,
	caller: Caller,
): Promise<Stored> {
	if (!isObject(body) || !isObject(body.target)) throw badRequest('the body is no Binding: target is missing');
	const { kind, name } = body.target;
	if (kind !== undefined && kind !== '' && kind !== 'Node')
		throw invalid('', 'Binding', target.name, [fieldError.notSupported('target.kind', kind, ['Node', '<empty>'])]);
	if (typeof name !== 'string' || !name)
		throw invalid('', 'Binding', target.name, [fieldError.required('target.name')]);
	const metadata = isObject(body.metadata) ? body.metadata : {};
	await admitAction(context, target, 'binding', body, options, caller);
	await change(context, { ...target, subresource: 'binding' }, options, caller, 'CreateOptions', async (current) => {
		// Only pods have the subresource.
		const pod = copy(current.object) as Dynamic & { spec: Pod['spec']; status?: Record<string, unknown> };
		for (const [name, field] of preconditions) {
			const wanted = metadata[field];
			if (typeof wanted === 'string' && wanted && wanted !== pod.metadata[field])
				throw conflict(
					target.kind,
					target.name,
					`Precondition failed: ${name} in precondition: ${wanted}, ${name} in object meta: ${pod.metadata[field]}`,
				);
		}
		if (pod.metadata.deletionTimestamp)
			throw conflict(
				target.kind,
				target.name,
				`pod ${pod.metadata.name} is being deleted, cannot be assigned to a host`,
			);
		if (pod.spec.nodeName)
			throw conflict(
				target.kind,
				target.name,
				`pod ${pod.metadata.name} is already assigned to node ${JSON.stringify(pod.spec.nodeName)}`,
			);
		if (pod.spec.schedulingGates?.length)
			throw conflict(target.kind, target.name, `pod ${pod.metadata.name} has non-empty .spec.schedulingGates`);
		pod.spec.nodeName = name;
		const before: readonly unknown[] = Array.isArray(pod.status?.conditions) ? pod.status.conditions : [];
		const conditions = before.filter((condition) => !isObject(condition) || condition.type !== 'PodScheduled');
		const lastTransitionTime = timestamp(context.now());
		pod.status = {
			...pod.status,
			conditions: [...conditions, { type: 'PodScheduled', status: 'True', lastTransitionTime }],
		};
		if (isObject(metadata.annotations))
			pod.metadata.annotations = { ...pod.metadata.annotations, ...textsOf(metadata.annotations) };
		return { next: pod };
	});
	return success(201);
}

function textsOf(annotations: Record<string, unknown>): Record<string, string> {
	return Object.fromEntries(
		Object.entries(annotations).map(([key, value]) => {
			if (typeof value !== 'string')
				throw badRequest('the body is no Binding: the values of metadata.annotations must be strings');
			return [key, value];
		}),
	);
}

/** An action is admitted as the creation of what its body says. */
export async function admitAction(
	context: Context,
	{ kind, namespace, name }: Target,
	subresource: string,
	body: Record<string, unknown>,
	options: WriteOptions,
	caller: Caller,
): Promise<void> {
	const asked: Asked = {
		operation: 'CREATE',
		kind,
		requested: kind,
		subresource,
		namespace,
		name,
		// What an action is asked with has metadata of its own; a plugin may look at it, and refuse.
		object: body as Dynamic,
		caller,
		dryRun: options.dryRun === true,
		warn: options.warn,
	};
	await mutate(context, asked);
	await validate(context, asked);
}

/** Admits a connection to an object: there must be one, and its options are what plugins look at. */
export async function connect(
	context: Context,
	{ kind, namespace, name }: Target,
	subresource: string,
	options: Readonly<Record<string, string>>,
	caller: Caller,
): Promise<void> {
	const asked: Asked = {
		operation: 'CONNECT',
		kind: storageOf(kind),
		requested: kind,
		subresource,
		namespace,
		name,
		object: { apiVersion: 'v1', kind: `${kind.kind}Options`, metadata: { name }, ...options },
		caller,
		dryRun: false,
	};
	await mutate(context, asked);
	await validate(context, asked);
}

/** A Status of success in the form of a stored object. */
export function success(code: number): StoredObject {
	const status = { kind: 'Status', apiVersion: 'v1', metadata: { name: '' }, status: 'Success', code };
	return new StoredObject(Buffer.from(JSON.stringify(status)), 0, status);
}
