/** What an autoscaler scales, through its scale subresource. */
import type { CrossVersionObjectReference } from 'kubernetes-types/autoscaling/v2.js';
import { readScale, type Scale } from '../../api/index.ts';
import type { Client } from '../../client/index.ts';
import {
	ApiError,
	type Dynamic,
	type Kind,
	type KubeObject,
	parseApiVersion,
	type Registry,
} from '../../kinds/index.ts';

export interface Target {
	readonly kind: Kind;
	readonly scale: Scale;
}

/** Throws ApiError, or an Error with why there is nothing to scale, in the words of Kubernetes. */
export async function readTarget(
	client: Client,
	namespace: string,
	reference: CrossVersionObjectReference,
): Promise<Target> {
	const kind = kindOf(client.registry, reference);
	const object = (await client.get(kind, { name: reference.name, namespace })) as Dynamic;
	if (!kind.subresources.scale) throw new ApiError(404, 'NotFound', 'the server could not find the requested resource');
	return { kind, scale: readScale(kind, object) };
}

/** Throws ApiError Conflict where the target has changed since it was read. */
export async function writeReplicas(client: Client, { kind, scale }: Target, replicas: number): Promise<void> {
	// The kind names the path; the body of this subresource is a Scale.
	await client.update(kind, { ...scale, spec: { replicas } } as KubeObject, { subresource: 'scale' });
}

/** Of another version of the group where the named one is not served: replicas are the same in all of them. */
function kindOf(registry: Registry, { apiVersion = '', kind }: CrossVersionObjectReference): Kind {
	const { group } = parseApiVersion(apiVersion);
	const named = registry.of(apiVersion || 'v1', kind);
	const found = named ?? [...registry.all()].find((each) => each.group === group && each.kind === kind);
	if (!found) throw new Error(`no matches for kind ${JSON.stringify(kind)} in group ${JSON.stringify(group)}`);
	return found;
}
