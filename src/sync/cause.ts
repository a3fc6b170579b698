/** Why what an object runs is not healthy: what the pods below it say. An object's own health only counts them. */
import { type KubeObject, Pod } from '../kinds/index.ts';

/** How far down from an object its pods are looked for: a Deployment's lie two below. */
const MAX_DEPTH = 4;

/** The first trouble of a pod that the object owns, as `pod/NAME: message`. `owned` finds the objects of an owner. */
export function causeOf(object: KubeObject, owned: (uid: string) => Iterable<KubeObject>): string | undefined {
	// What a pod's own health says need not be said again.
	return object.kind === Pod.kind ? unscheduled(object as Pod) : below(object, owned, MAX_DEPTH);
}

function below(owner: KubeObject, owned: (uid: string) => Iterable<KubeObject>, depth: number): string | undefined {
	for (const object of depth > 0 ? owned(owner.metadata.uid ?? '') : []) {
		const found = object.kind === Pod.kind ? troubleOf(object as Pod) : below(object, owned, depth - 1);
		if (found) return found;
	}
	return undefined;
}

function troubleOf(pod: Pod): string | undefined {
	if (pod.metadata.deletionTimestamp) return undefined;
	const health = Pod.health(pod);
	const message = health?.status === 'Degraded' ? health.message : unscheduled(pod);
	return message && `pod/${pod.metadata.name}: ${message}`;
}

const unscheduled = ({ status }: Pod) =>
	status?.conditions?.find((each) => each.type === 'PodScheduled' && each.status === 'False')?.message;
