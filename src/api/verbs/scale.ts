/** The scale subresource: replicas of any kind that declares where it keeps them, as autoscaling/v1 Scale. */
import { apiVersionOf, type Kind } from '../../kinds/kind.ts';
import type { Dynamic, KubeObject } from '../../kinds/object.ts';
import { badRequest, conflict, fieldError, invalid, notFound } from '../../kinds/status.ts';
import type { Caller, ReadOptions, Stored, Target, WriteOptions } from '../api.ts';
import { asText, copy, isObject } from '../json.ts';
import { readScale, writeScale } from '../patch/index.ts';
import { StoredObject } from '../storage.ts';
import type { Context } from './context.ts';
import { get, untyped } from './read.ts';
import { change, modified, type Proposal } from './update.ts';

/** The Scale of an object. */
export const readScaleOf = (kind: Kind, stored: Stored): KubeObject => readScale(kind, stored.object as Dynamic);

/** A Scale as the answer to a request. */
export function scaleAnswer(kind: Kind, stored: Stored): StoredObject {
	const scale = readScaleOf(kind, stored);
	return new StoredObject(Buffer.from(JSON.stringify(scale)), stored.revision, scale);
}

export async function getScale(context: Context, target: Target, options: ReadOptions): Promise<StoredObject> {
	return scaleAnswer(target.kind, await get(context, target, options));
}

export async function updateScale(
	context: Context,
	target: Target,
	body: unknown,
	options: WriteOptions,
	caller: Caller,
): Promise<StoredObject> {
	if (!isObject(body)) throw badRequest('the body is no Scale: it must be a JSON object');
	const result = await change(context, target, options, caller, 'UpdateOptions', async (current) =>
		scaleProposal(untyped(target.kind), current, body, target),
	);
	return scaleAnswer(target.kind, result.stored);
}

/** The object with the replicas of a Scale. Throws 4xx for a Scale of another object, or one that is none. */
export function scaleProposal(
	kind: Kind,
	current: StoredObject,
	scale: Record<string, unknown>,
	target: Pick<Target, 'name'>,
): Proposal {
	const replicas = replicasOf(kind, scale, target);
	const { resourceVersion } = isObject(scale.metadata) ? scale.metadata : {};
	if (resourceVersion && resourceVersion !== String(current.revision)) throw conflict(kind, target.name, modified);
	const next = copy(writeScale(kind, current.object as Dynamic, replicas ?? 0)) as Dynamic;
	return { next };
}

/** What an applied Scale says of its object: the replicas, and nothing else. Throws as `scaleProposal`. */
export function appliedScale(
	kind: Kind,
	scale: Record<string, unknown>,
	target: Pick<Target, 'name' | 'namespace'>,
): Record<string, unknown> {
	const replicas = replicasOf(kind, scale, target);
	if (scale.kind !== 'Scale' || scale.apiVersion !== 'autoscaling/v1')
		throw badRequest('apiVersion and kind of an applied Scale must be autoscaling/v1 and Scale');
	const { uid, resourceVersion } = isObject(scale.metadata) ? scale.metadata : {};
	const { name, namespace } = target;
	const bare = { apiVersion: apiVersionOf(kind), kind: kind.kind, metadata: { name, namespace, uid, resourceVersion } };
	// The edge where data becomes an object: the metadata are checked with those of every applied configuration.
	return copy(replicas === undefined ? bare : { ...writeScale(kind, bare as Dynamic, replicas) });
}

/** The replicas that a Scale asks for, if it does. */
function replicasOf(kind: Kind, scale: Record<string, unknown>, target: Pick<Target, 'name'>): number | undefined {
	if (!kind.subresources.scale) throw notFound(kind, target.name);
	if (scale.kind !== undefined && scale.kind !== 'Scale')
		throw badRequest(`the body is a ${asText(scale.kind)}, where a Scale of autoscaling/v1 belongs`);
	const { name } = isObject(scale.metadata) ? scale.metadata : {};
	if (name && name !== target.name)
		throw badRequest(`the name of the object (${asText(name)}) does not match the name on the URL (${target.name})`);
	const { replicas } = isObject(scale.spec) ? scale.spec : {};
	if (replicas == null) return undefined;
	if (typeof replicas !== 'number' || (replicas | 0) !== replicas)
		throw badRequest(`Scale in version "v1" cannot be handled as a Scale: spec.replicas must be an integer of 32 bits`);
	if (replicas < 0)
		throw invalid('autoscaling', 'Scale', target.name, [
			fieldError.invalid('spec.replicas', replicas, 'must be greater than or equal to 0'),
		]);
	return replicas;
}
