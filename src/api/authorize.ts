/**
 * Who may do what. One function, so that RBAC can take its place: masters may do everything, nodes what an agent needs,
 * everybody who is known may look at discovery and at himself.
 */
import { ApiError } from '../kinds/status.ts';

/** Who asks, once authenticated. */
export interface User {
	readonly name: string;
	readonly uid?: string;
	readonly groups: readonly string[];
	readonly extra?: Readonly<Record<string, readonly string[]>>;
}

export const mastersGroup = 'system:masters';
export const nodesGroup = 'system:nodes';
export const authenticatedGroup = 'system:authenticated';
export const unauthenticatedGroup = 'system:unauthenticated';
export const anonymous: User = { name: 'system:anonymous', groups: [unauthenticatedGroup] };

/** What is asked for: a verb on a resource, or on a path beside the resources. */
export type Attributes =
	| {
			readonly type: 'resource';
			readonly verb: string;
			readonly group: string;
			readonly version: string;
			readonly resource: string;
			readonly subresource?: string;
			readonly namespace?: string;
			readonly name?: string;
	  }
	| { readonly type: 'path'; readonly verb: string; readonly path: string };

type ResourceAttributes = Extract<Attributes, { type: 'resource' }>;

export interface Decision {
	readonly allowed: boolean;
	/** Why, for SubjectAccessReviews. */
	readonly reason: string;
}

const openPaths = new Set(['/healthz', '/livez', '/readyz', '/version', '/version/']);
const read = ['get', 'list', 'watch'];
const reviewGroups = new Set(['authorization.k8s.io', 'authentication.k8s.io']);

/** What nodes read: what is needed to run pods, to route services and to answer names. */
const nodeReads: Readonly<Record<string, readonly string[]>> = {
	'': ['pods', 'services', 'endpoints', 'configmaps', 'secrets', 'nodes', 'namespaces', 'serviceaccounts'],
	'discovery.k8s.io': ['endpointslices'],
};

/** Decides on the attributes alone. Pure. */
export function authorize(user: User, attributes: Attributes): Decision {
	if (user.groups.includes(mastersGroup)) return { allowed: true, reason: `member of ${mastersGroup}` };
	const known = user.groups.includes(authenticatedGroup);
	if (attributes.type === 'path') {
		const { path, verb } = attributes;
		const look = verb === 'get' || verb === 'head';
		if (look && (openPaths.has(path) || /^\/(healthz|livez|readyz)\//.test(path)))
			return { allowed: true, reason: 'public' };
		if (known && look && /^\/(api|apis|openapi)(\/|$)/.test(path)) return { allowed: true, reason: 'discovery' };
		return { allowed: false, reason: '' };
	}
	if (
		known &&
		attributes.verb === 'create' &&
		reviewGroups.has(attributes.group) &&
		/^selfsubject/.test(attributes.resource)
	)
		return { allowed: true, reason: 'everybody may ask about himself' };
	if (user.groups.includes(nodesGroup) && user.name.startsWith('system:node:')) return authorizeNode(user, attributes);
	return { allowed: false, reason: '' };
}

/** What an agent may do, in the name of its node. Source: Kubernetes documentation, "Using Node Authorization". */
function authorizeNode(
	user: User,
	{ verb, group, resource, subresource, namespace, name }: ResourceAttributes,
): Decision {
	const node = user.name.slice('system:node:'.length);
	const allow = { allowed: true, reason: `needed by the agent of node ${node}` };
	const what = subresource ? `${resource}/${subresource}` : resource;
	const write = verb === 'update' || verb === 'patch';
	if (read.includes(verb) && !subresource && nodeReads[group]?.includes(resource)) return allow;
	switch (`${group}/${what}`) {
		case '/nodes':
			if (verb === 'create' || (write && name === node)) return allow;
			break;
		case '/nodes/status':
			if (write && name === node) return allow;
			break;
		case '/pods':
			if (verb === 'delete') return allow;
			break;
		case '/pods/status':
			if (write || verb === 'get') return allow;
			break;
		case '/events':
			if (verb === 'create' || write) return allow;
			break;
		case 'coordination.k8s.io/leases':
			if (namespace !== 'kube-node-lease') break;
			if (verb === 'create' || (name === node && (verb === 'get' || verb === 'delete' || write))) return allow;
			break;
	}
	return { allowed: false, reason: `not needed by the agent of node ${node}` };
}

/** The answer to what is not allowed, in the words of Kubernetes. */
export function forbiddenBy(user: User, attributes: Attributes): ApiError {
	const who = `User ${JSON.stringify(user.name)}`;
	if (attributes.type === 'path') {
		const why = `forbidden: ${who} cannot ${attributes.verb} path ${JSON.stringify(attributes.path)}`;
		return new ApiError(403, 'Forbidden', why, {});
	}
	const { verb, group, resource, subresource, namespace, name } = attributes;
	const qualified = group ? `${resource}.${group}` : resource;
	const what = subresource ? `${resource}/${subresource}` : resource;
	const where = namespace === undefined ? 'at the cluster scope' : `in the namespace ${JSON.stringify(namespace)}`;
	const subject = name ? `${qualified} ${JSON.stringify(name)}` : qualified;
	return new ApiError(
		403,
		'Forbidden',
		`${subject} is forbidden: ${who} cannot ${verb} resource ${JSON.stringify(what)} in API group ${JSON.stringify(group)} ${where}`,
		{ name: name || undefined, group: group || undefined, kind: resource },
	);
}
