/**
 * What a pod asks for, and what it may use at most, to the last digit: quotas add such amounts up. The scheduler, which compares
 * them only, counts in numbers: see pod-requests.ts. Source: Kubernetes documentation, "Resource Management for Pods and
 * Containers", "Sidecar Containers" and "Pod Overhead".
 */
import type { Container, PodSpec, ResourceRequirements } from 'kubernetes-types/core/v1.js';
import { addQuantities, compareQuantities } from './quantity.ts';

export type Amounts = Readonly<Record<string, string>>;

type Bound = 'requests' | 'limits';

/** Of a pod as a whole, where it says so beside its containers (KEP-2837). */
interface PodLevel {
	readonly resources?: ResourceRequirements;
}

/** Amounts of the containers together; the larger of what runs at first and of what runs then. Without overhead. */
export function containerAmounts(spec: PodSpec & PodLevel, bound: Bound): Amounts {
	const of = ({ resources }: Container): Amounts => resources?.[bound] ?? {};
	let sidecars: Amounts = {};
	let most: Amounts = {};
	for (const container of spec.initContainers ?? []) {
		if (container.restartPolicy === 'Always') {
			sidecars = sum(sidecars, of(container));
			most = larger(most, sidecars);
		} else most = larger(most, sum(of(container), sidecars));
	}
	const running = (spec.containers ?? []).map(of).reduce(sum, sidecars);
	return { ...larger(most, running), ...spec.resources?.[bound] };
}

/** What counts for the pod, with what its runtime needs beside its containers. */
export function podAmounts(spec: PodSpec & PodLevel, bound: Bound): Amounts {
	const own = containerAmounts(spec, bound);
	const overhead = Object.entries(spec.overhead ?? {}).filter(([name]) => bound === 'requests' || name in own);
	return sum(own, Object.fromEntries(overhead));
}

export function sum(a: Amounts, b: Amounts): Amounts {
	const both: Record<string, string> = { ...a };
	for (const [name, amount] of Object.entries(b)) both[name] = addQuantities(both[name] ?? '0', amount);
	return both;
}

function larger(a: Amounts, b: Amounts): Amounts {
	const both: Record<string, string> = { ...a };
	for (const [name, amount] of Object.entries(b)) {
		const other = both[name];
		if (other === undefined || compareQuantities(amount, other) > 0) both[name] = amount;
	}
	return both;
}
