/**
 * What the agent of a node may do, in the name of its node: what its own pods need, and what services and names need, which
 * every node serves. Source: Kubernetes documentation, "Using Node Authorization".
 */
import { VOLUME_NODE } from '../../kinds/core/local-volume.ts';
import type { Authorizer, Decision, ResourceAttributes } from './authorizer.ts';
import { noOpinion, noRules } from './authorizer.ts';
import type { NodeGraph } from './node-graph.ts';
import { nodeOf } from './user.ts';

/** What every node routes, resolves and registers with. */
const readable: Readonly<Record<string, readonly string[]>> = {
	'': ['services', 'endpoints', 'nodes', 'namespaces'],
	'discovery.k8s.io': ['endpointslices'],
	'storage.k8s.io': ['csidrivers'],
	'node.k8s.io': ['runtimeclasses'],
};
const reads = new Set(['get', 'list', 'watch']);
/** The lease by which a node says that it lives. */
const leaseNamespace = 'kube-node-lease';

export function nodeAuthorizer(graph: NodeGraph): Authorizer {
	return {
		authorize(user, attributes) {
			const node = nodeOf(user);
			if (node === undefined || attributes.type === 'path') return noOpinion;
			const decision = decide(node, attributes, graph, false);
			// Another server may have bound the pod that needs it: what is not known is looked for once more.
			if (decision !== 'unknown') return decision;
			return graph.fresh().then(() => {
				const again = decide(node, attributes, graph, true);
				return again === 'unknown' ? no(`no pod of node "${node}" needs it`) : again;
			});
		},
		// They depend on the pods that the node has.
		rules: (user) => ({ ...noRules, incomplete: nodeOf(user) !== undefined }),
	};
}

const absent: Decision = { allowed: false, denied: true, missing: true, reason: 'there is no such pod' };
const no = (reason: string): Decision => ({ allowed: false, reason });

/** `settled`: the graph has every write from before the request. */
function decide(
	node: string,
	attributes: ResourceAttributes,
	graph: NodeGraph,
	settled: boolean,
): Decision | 'unknown' {
	const { verb, group, resource, subresource, namespace, name } = attributes;
	const yes: Decision = { allowed: true, reason: `needed by the agent of node ${node}` };
	const read = reads.has(verb);
	const write = verb === 'update' || verb === 'patch';
	if (read && !subresource && readable[group]?.includes(resource)) return yes;
	const onPod = () => {
		const owner = graph.ownerOf(node, namespace, name);
		if (owner === 'itself') return yes;
		if (!settled || owner === 'another') return 'unknown';
		// A read would wait for one that is made meanwhile, and show it; a write is looked at once more by admission.
		return verb === 'get' ? absent : yes;
	};
	switch (`${group}/${subresource ? `${resource}/${subresource}` : resource}`) {
		case '/nodes':
			// Which one is created is for admission to see.
			return verb === 'create' || (write && name === node) ? yes : no(`a node may change only itself`);
		case '/nodes/status':
			return write && name === node ? yes : no(`a node may change only itself`);
		case '/pods':
			if (verb === 'list' || verb === 'watch')
				return selects('spec.nodeName', node, attributes) ? yes : no(ownPodsOnly(node));
			// What it creates are mirrors of its static pods: see node-restriction.ts.
			if (verb === 'create') return yes;
			return verb === 'get' || verb === 'delete' ? onPod() : noOpinion;
		case '/pods/status':
			return verb === 'get' || write ? onPod() : noOpinion;
		case '/pods/eviction':
			return verb === 'create' ? onPod() : noOpinion;
		case '/secrets':
		case '/configmaps':
		case '/serviceaccounts':
		case '/persistentvolumeclaims':
			if (!read) return noOpinion;
			if (namespace === undefined || name === undefined)
				return no('can only read one by its name (get, or metadata.name= in a list or watch)');
			// The names that every node answers are resolved as it says.
			if (resource === 'configmaps' && namespace === 'kube-system' && name === 'kube-dns') return yes;
			if (graph.needs(node, resource, namespace, name)) return yes;
			return resource === 'secrets' && graph.needsForVolume(node, `${namespace}/${name}`) ? yes : 'unknown';
		case '/persistentvolumes':
			// Its own directories it follows, and says of them what has become of them: see node-restriction.ts.
			if (verb === 'list' || verb === 'watch')
				return selects(VOLUME_NODE, node, attributes)
					? yes
					: no(`can only list/watch persistentvolumes with ${VOLUME_NODE}=${node} field selector`);
			if (name === undefined) return noOpinion;
			if (verb !== 'get' && !write) return noOpinion;
			if (graph.lies(node, name) || (verb === 'get' && graph.needsVolume(node, name))) return yes;
			return settled ? no(`no pod of node "${node}" needs it, and it does not lie there`) : 'unknown';
		case 'storage.k8s.io/csinodes':
			return verb === 'create' || (name === node && (verb === 'get' || write)) ? yes : noOpinion;
		case 'storage.k8s.io/volumeattachments':
			if (verb !== 'get' || name === undefined) return noOpinion;
			return graph.isAttachment(node, name) ? yes : 'unknown';
		case '/events':
			return verb === 'create' || write ? yes : noOpinion;
		case 'coordination.k8s.io/leases':
			if (namespace !== leaseNamespace) return noOpinion;
			return verb === 'create' || (name === node && (verb === 'get' || verb === 'delete' || write)) ? yes : noOpinion;
		case 'certificates.k8s.io/certificatesigningrequests':
			return verb === 'create' || read ? yes : noOpinion;
		default:
			return noOpinion;
	}
}

const ownPodsOnly = (node: string) => `can only list/watch pods with spec.nodeName=${node} field selector`;

const selects = (field: string, node: string, { fields = [] }: ResourceAttributes) =>
	fields.some(({ path, value, negated }) => path === field && value === node && !negated);
