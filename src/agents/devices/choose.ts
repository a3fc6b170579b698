/** Which devices a container gets. Source: Kubernetes documentation, "Device Plugins", and the kubelet's messages. */
import type { Pod } from '../../kinds/index.ts';
import { quantity } from '../../kinds/index.ts';
import { DeviceError } from './error.ts';

/** What one container asks for of one resource. */
export interface Wish {
	readonly container: string;
	readonly resource: string;
	readonly count: number;
	/** The containers after it in the pod may have its devices: it has ended when they start. */
	readonly lends: boolean;
}

/** What the containers of the pod ask for, in the order in which they start. */
export function wishesOf(pod: Pod): readonly Wish[] {
	const lists = [
		[pod.spec.initContainers ?? [], true],
		[pod.spec.containers, false],
	] as const;
	return lists.flatMap(([containers, init]) =>
		containers.flatMap(({ name, resources, restartPolicy }) =>
			Object.entries(resources?.limits ?? {})
				// Cores and bytes are no devices, and are of no domain.
				.filter(([resource]) => resource.includes('/'))
				.map(([resource, amount]) => ({
					container: name,
					resource,
					count: quantity(amount),
					lends: init && restartPolicy !== 'Always',
				}))
				.filter(({ count }) => count > 0),
		),
	);
}

/** The choice as far as it needs no plugin: what the pod lends itself, and of what the rest is chosen. */
export interface Beginning {
	readonly chosen: readonly string[];
	readonly available: readonly string[];
	readonly missing: number;
}

export interface Stock {
	/** In the plugin's order. */
	readonly healthy: readonly string[];
	/** Those that some container has. */
	readonly taken: ReadonlySet<string>;
	/** Those of containers of the same pod that will have ended. */
	readonly reusable: ReadonlySet<string>;
}

/** Throws DeviceError where there are not enough. */
export function beginChoice({ resource, count }: Wish, { healthy, taken, reusable }: Stock): Beginning {
	if (healthy.length === 0)
		throw new DeviceError(`no healthy devices present; cannot allocate unhealthy devices ${resource}`);
	const chosen = [...reusable].slice(0, count);
	const missing = count - chosen.length;
	if (missing === 0) return { chosen, available: [], missing };
	const available = healthy.filter((id) => !taken.has(id));
	if (available.length < missing) {
		const counts = `Requested: ${missing}, Available: ${available.length}`;
		throw new DeviceError(`requested number of devices unavailable for ${resource}. ${counts}`);
	}
	return { chosen, available, missing };
}

/** What the plugin prefers goes first, as far as it is to be had. */
export function completeChoice({ chosen, available, missing }: Beginning, preferred: readonly string[] = []): string[] {
	const free = new Set(available);
	const order = new Set([...preferred.filter((id) => free.has(id)), ...available]);
	return [...chosen, ...[...order].slice(0, missing)];
}
