/**
 * Which requests share the server with which: the suggested and the mandatory objects of Kubernetes' API priority and fairness,
 * as data. Source: Kubernetes documentation, "API Priority and Fairness", and the defaults of its API server.
 */
import { mastersGroup, nodesGroup } from '../../auth/user.ts';

/** As a PriorityLevelConfiguration has it. */
export interface PriorityLevel {
	readonly name: string;
	/** Its part of the seats of the server, in relation to that of the others. Undefined: its requests are not counted at all. */
	readonly shares?: number;
	/** How much of its part others may use while it does not, in percent. */
	readonly lendablePercent: number;
	/** Whether requests wait for a seat, or are refused at once. */
	readonly queues: boolean;
}

/** Whom a schema is about. */
export type Subject =
	| { readonly user: string }
	| { readonly group: string }
	/** The service accounts of a namespace. */
	| { readonly serviceAccounts: string };

/** What is asked for; `*` is all. */
export interface ResourceRule {
	readonly verbs: readonly string[];
	readonly apiGroups: readonly string[];
	/** With their subresource: `nodes/status`. */
	readonly resources: readonly string[];
}

/** As a FlowSchema has it. */
export interface FlowSchema {
	readonly name: string;
	readonly matchingPrecedence: number;
	readonly priorityLevel: string;
	/** Whose requests are one flow. Undefined: all of the schema. */
	readonly distinguisher?: 'ByUser' | 'ByNamespace';
	readonly subjects: readonly Subject[];
	/** Undefined, with `paths`: every request. */
	readonly resources?: readonly ResourceRule[];
	readonly paths?: readonly string[];
}

export const priorityLevels: readonly PriorityLevel[] = [
	{ name: 'exempt', lendablePercent: 0, queues: false },
	{ name: 'leader-election', shares: 10, lendablePercent: 0, queues: true },
	{ name: 'node-high', shares: 40, lendablePercent: 25, queues: true },
	{ name: 'system', shares: 30, lendablePercent: 33, queues: true },
	{ name: 'workload-high', shares: 40, lendablePercent: 50, queues: true },
	{ name: 'workload-low', shares: 100, lendablePercent: 90, queues: true },
	{ name: 'global-default', shares: 20, lendablePercent: 50, queues: true },
	{ name: 'catch-all', shares: 5, lendablePercent: 0, queues: false },
];

const everybody: readonly Subject[] = [{ group: 'system:authenticated' }, { group: 'system:unauthenticated' }];
const ofTheSystem: readonly Subject[] = [{ serviceAccounts: 'kube-system' }];
const coordination = 'coordination.k8s.io';
const election: readonly ResourceRule[] = [
	{ verbs: ['get', 'create', 'update'], apiGroups: [coordination], resources: ['leases'] },
];

/** In the order of their precedence: the first that matches decides. */
export const flowSchemas: readonly FlowSchema[] = [
	{ name: 'exempt', matchingPrecedence: 1, priorityLevel: 'exempt', subjects: [{ group: mastersGroup }] },
	{
		name: 'probes',
		matchingPrecedence: 2,
		priorityLevel: 'exempt',
		subjects: everybody,
		paths: ['/healthz', '/livez', '/readyz'],
	},
	{
		name: 'system-leader-election',
		matchingPrecedence: 100,
		priorityLevel: 'leader-election',
		distinguisher: 'ByUser',
		subjects: [{ user: 'system:kube-controller-manager' }, { user: 'system:kube-scheduler' }, ...ofTheSystem],
		resources: election,
	},
	{
		name: 'system-node-high',
		matchingPrecedence: 400,
		priorityLevel: 'node-high',
		distinguisher: 'ByUser',
		subjects: [{ group: nodesGroup }],
		resources: [
			{ verbs: ['*'], apiGroups: [''], resources: ['nodes', 'nodes/status'] },
			{ verbs: ['*'], apiGroups: [coordination], resources: ['leases'] },
		],
	},
	{
		name: 'system-nodes',
		matchingPrecedence: 500,
		priorityLevel: 'system',
		distinguisher: 'ByUser',
		subjects: [{ group: nodesGroup }],
	},
	{
		name: 'kube-system-service-accounts',
		matchingPrecedence: 900,
		priorityLevel: 'workload-high',
		distinguisher: 'ByNamespace',
		subjects: [...ofTheSystem, { user: 'system:kube-controller-manager' }, { user: 'system:kube-scheduler' }],
	},
	{
		name: 'service-accounts',
		matchingPrecedence: 9000,
		priorityLevel: 'workload-low',
		distinguisher: 'ByUser',
		subjects: [{ group: 'system:serviceaccounts' }],
	},
	{
		name: 'global-default',
		matchingPrecedence: 9900,
		priorityLevel: 'global-default',
		distinguisher: 'ByUser',
		subjects: everybody,
	},
	{
		name: 'catch-all',
		matchingPrecedence: 10_000,
		priorityLevel: 'catch-all',
		distinguisher: 'ByUser',
		subjects: everybody,
	},
];
