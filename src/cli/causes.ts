/** Why resources of applications are not healthy, read from the pods below them. */
import type { Client } from '../client/index.ts';
import { type Application, type KubeObject, Pod, ReplicaSet, type ResourceStatus } from '../kinds/index.ts';
import { causeOf } from '../sync/index.ts';

const nameOf = (kind: string | undefined, namespace: string | undefined, name: string | undefined) =>
	`${kind} ${namespace}/${name}`;

/** Lists pods and ReplicaSets, only in the namespaces in which something is not healthy. */
export async function findCauses(
	client: Client,
	applications: readonly Application[],
): Promise<(resource: ResourceStatus) => string | undefined> {
	const unhealthy = applications
		.flatMap(({ status }) => status?.resources ?? [])
		.filter(({ health }) => health?.status === 'Progressing' || health?.status === 'Degraded');
	const objects = new Map<string, KubeObject>();
	const owned = new Map<string, KubeObject[]>();
	for (const namespace of new Set(unhealthy.flatMap((resource) => resource.namespace ?? []))) {
		const lists = await Promise.all([client.list(ReplicaSet, { namespace }), client.list(Pod, { namespace })]);
		for (const object of lists.flatMap(({ items }): readonly KubeObject[] => items)) {
			objects.set(nameOf(object.kind, namespace, object.metadata.name), object);
			for (const { apiVersion, kind, name, uid } of object.metadata.ownerReferences ?? []) {
				const owner = nameOf(kind, namespace, name);
				if (!objects.has(owner)) objects.set(owner, { apiVersion, kind, metadata: { name, uid } });
				owned.set(uid, [...(owned.get(uid) ?? []), object]);
			}
		}
	}
	return ({ kind, namespace, name }) => {
		const object = objects.get(nameOf(kind, namespace, name));
		return object && causeOf(object, (owner) => owned.get(owner) ?? []);
	};
}
