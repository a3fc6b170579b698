/** Pods as the planning of their node sees them, for tables of cases. */
import type * as core from 'kubernetes-types/core/v1.js';
import { specHash } from '../../src/agents/pods/names.ts';
import type { Instance, Observed } from '../../src/agents/pods/observed.ts';
import type { Pod } from '../../src/kinds/index.ts';

export const NOW = Date.parse('2024-05-01T12:00:00Z');
export const S = 1000;

export const container = (name: string, rest: Partial<core.Container> = {}): core.Container => ({
	name,
	image: 'i',
	...rest,
});

export function pod(
	spec: Partial<Pod['spec']> = {},
	rest: { metadata?: Partial<Pod['metadata']>; status?: core.PodStatus } = {},
): Pod {
	return {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: { name: 'p', namespace: 'n', uid: 'u', ...rest.metadata },
		spec: { containers: [container('main')], ...spec },
		status: rest.status,
	};
}

export const sandbox = { id: 's0', attempt: 0, state: 'running', created: NOW, address: '10.0.0.2' } as const;

export function instance(name: string, rest: Partial<Instance> = {}): Instance {
	return {
		id: `${name}-${rest.attempt ?? 0}`,
		uri: `docker://${rest.id ?? `${name}-${rest.attempt ?? 0}`}`,
		name,
		attempt: 0,
		state: 'running',
		sandbox: 's0',
		hash: specHash(container(name)),
		backoff: 0,
		image: 'i',
		imageId: 'sha256:1',
		created: NOW - 60 * S,
		startedAt: NOW - 60 * S,
		exitCode: 0,
		oomKilled: false,
		error: '',
		...rest,
	};
}

export const ended = (name: string, exitCode: number, rest: Partial<Instance> = {}) =>
	instance(name, { state: 'exited', exitCode, finishedAt: NOW, ...rest });

export function observed(rest: Partial<Observed> = {}): Observed {
	const instances = rest.instances ?? [];
	const healthy = instances.map(({ id }) => [id, { started: true, ready: true }] as const);
	return {
		sandboxes: [sandbox],
		volumes: 'mounted',
		images: new Map(['main', 'a', 'b', 'side'].map((name) => [name, { state: 'present' }])),
		failures: new Map(),
		health: new Map(healthy),
		stopping: new Map(),
		hooking: new Set(),
		imageUri: (id) => `docker://${id}`,
		machineMemory: 8 * 2 ** 30,
		hostAddresses: ['192.0.2.1'],
		...rest,
		instances,
	};
}

export const failure = (until: number) => ({ reason: 'X', message: 'why', at: NOW, until, count: 1 });
export const initialized = pod({ initContainers: [container('a'), container('b')] });

export function blank(name: string): core.ContainerStatus {
	return { name, image: 'i', imageID: '', ready: false, restartCount: 0 };
}
