/**
 * The ReplicationController controller: what a ReplicaSet does, for a selector that is a map of labels.
 * Source: Kubernetes documentation, "ReplicationController".
 */
import { type ReplicaSet, ReplicationController } from '../../kinds/index.ts';
import { keepReplicas } from './replicaset.ts';

/** One view for each object, so that its selector is understood once. */
const views = new WeakMap<ReplicationController, ReplicaSet>();

export const replicationController = keepReplicas<ReplicationController>({
	name: 'replicationcontroller',
	component: 'replication-controller',
	kind: ReplicationController,
	view(object) {
		const known = views.get(object);
		if (known) return known;
		const view = { ...object, spec: { ...object.spec, selector: { matchLabels: object.spec.selector } } };
		views.set(object, view);
		return view;
	},
});
