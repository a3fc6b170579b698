/** Who asks, once authenticated. Source: Kubernetes documentation, "Authenticating". */
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

const nodePrefix = 'system:node:';

/** The name of the node whose agent the user is; undefined for everybody else. */
export function nodeOf({ name, groups }: User): string | undefined {
	return groups.includes(nodesGroup) && name.startsWith(nodePrefix) && name.length > nodePrefix.length
		? name.slice(nodePrefix.length)
		: undefined;
}
