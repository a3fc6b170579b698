/**
 * The replicas of what an autoscaler scales are the autoscaler's: an apply of the manifest leaves them as they are, and what they
 * are is no drift. A manifest's own count holds when the object is made, and again when the autoscaler has gone.
 */
import type { Cache, Client } from '../../client/index.ts';
import { appliedBy, ownershipOf } from '../../diff/index.ts';
import { has } from '../../kinds/fieldset.ts';
import { ApiError, type Dynamic, HorizontalPodAutoscaler, type Kind, type KubeObject } from '../../kinds/index.ts';
import { index } from '../../reconcile/index.ts';
import { idOf } from './desired.ts';

const TARGET = 'scale-target';

/** Autoscalers by the id of what they scale. */
export const autoscalersByTarget = index(HorizontalPodAutoscaler, TARGET, (autoscaler) => [targetOf(autoscaler)]);

/** The id of what an object scales; undefined where it is no autoscaler. */
export function scaleTargetOf(object: KubeObject | undefined): string | undefined {
	if (object?.kind !== HorizontalPodAutoscaler.kind || !object.apiVersion.startsWith('autoscaling/')) return undefined;
	return targetOf(object as HorizontalPodAutoscaler);
}

function targetOf({ metadata: { namespace }, spec }: HorizontalPodAutoscaler): string {
	const { apiVersion = '', kind, name } = spec.scaleTargetRef;
	return idOf({ apiVersion, kind, metadata: { name, namespace } });
}

/** A client whose applies leave the replicas of what is autoscaled alone. */
export function leavingReplicas(client: Client, cache: Cache): Client {
	return {
		...client,
		as: (name) => leavingReplicas(client.as(name), cache),
		async patch(kind, name, patch, options) {
			if (patch.type !== 'apply' || !kind.subresources.scale || options?.subresource) {
				return client.patch(kind, name, patch, options);
			}
			const body = await withoutReplicas(
				client,
				cache,
				kind as unknown as Kind,
				patch.body as Dynamic,
				options?.fieldManager,
			);
			return client.patch(kind, name, { ...patch, body }, options);
		},
	};
}

async function withoutReplicas(
	client: Client,
	cache: Cache,
	kind: Kind,
	desired: Dynamic,
	manager = client.name,
): Promise<Dynamic> {
	const path = kind.subresources.scale?.spec.split('.').filter(Boolean) ?? [];
	const [autoscaler] = cache.informer(HorizontalPodAutoscaler).by(TARGET, idOf(desired));
	if (!autoscaler || valueAt(desired, path) === undefined) return desired;
	try {
		const live = (await client.get(kind, desired.metadata)) as Dynamic;
		const own = appliedBy(ownershipOf(live), manager)?.fieldsV1;
		// What the manager owns would go with its manifest's: it says what is there until another one has taken it.
		const elements = path.map((field) => ({ field }));
		const owned = own !== undefined && has(own, elements);
		return replaced(desired, path, owned ? valueAt(live, path) : undefined) as Dynamic;
	} catch (error) {
		if (error instanceof ApiError && error.reason === 'NotFound') return desired;
		throw error;
	}
}

const valueAt = (object: unknown, path: readonly string[]): unknown =>
	path.reduce((value: unknown, field) => (value as Record<string, unknown> | undefined)?.[field], object);

/** A copy with another value at the path; without it where that is undefined. */
function replaced(object: unknown, [field = '', ...rest]: readonly string[], value: unknown): unknown {
	const { [field]: inner, ...others } = object as Record<string, unknown>;
	const next = rest.length > 0 ? replaced(inner, rest, value) : value;
	return next === undefined ? others : { ...others, [field]: next };
}
