/** What `describe` says of an object: what its kind shows, and the events about it. */
import type { Client } from '../../../client/index.ts';
import {
	type Application,
	type ConfigMap,
	type DaemonSet,
	type Deployment,
	type Kind,
	type KubeObject,
	type Node,
	type Pod,
	parseApiVersion,
	type ReplicaSet,
	type ReplicationController,
	type Secret,
	type Service,
	type StatefulSet,
} from '../../../kinds/index.ts';
import { describeApplication } from './application.ts';
import { eventEntry, eventsAbout } from './events.ts';
import { describeConfigMap, describeGeneric, describeSecret } from './generic.ts';
import { type Entry, layout } from './layout.ts';
import { describeNode } from './node.ts';
import { describePod } from './pod.ts';
import { describeService } from './service.ts';
import { describeDaemonSet, describeDeployment, describeReplicas, describeStatefulSet } from './workload.ts';

type Describe = (object: KubeObject, client: Client, now: number) => Entry[] | Promise<Entry[]>;

/** By group and kind. What lies under a kind has its shape. */
const byKind: Readonly<Record<string, Describe>> = {
	'/Pod': (object) => describePod(object as Pod),
	'/Node': (object, client, now) => describeNode(client, object as Node, now),
	'/Service': (object, client) => describeService(client, object as Service),
	'/ConfigMap': (object) => describeConfigMap(object as ConfigMap),
	'/Secret': (object) => describeSecret(object as Secret),
	'apps/Deployment': (object, client) => describeDeployment(client, object as Deployment),
	'apps/ReplicaSet': (object, client) => describeReplicas(client, object as ReplicaSet),
	'/ReplicationController': (object, client) => describeReplicas(client, object as ReplicationController),
	'apps/StatefulSet': (object, client) => describeStatefulSet(client, object as StatefulSet),
	'apps/DaemonSet': (object, client) => describeDaemonSet(client, object as DaemonSet),
	'argoproj.io/Application': (object) => describeApplication(object as Application),
};

/** Lines. `now` in milliseconds since the epoch, for ages. */
export async function describe(
	client: Client,
	kind: Kind,
	object: KubeObject,
	now: number,
	{ showEvents = true } = {},
): Promise<string[]> {
	const { group } = parseApiVersion(object.apiVersion);
	const entries = await (byKind[`${group}/${kind.kind}`] ?? describeGeneric)(object, client, now);
	// Events are about other things.
	const withEvents = showEvents && kind.kind !== 'Event';
	return layout(withEvents ? [...entries, eventEntry(await eventsAbout(client, object), now)] : entries);
}
