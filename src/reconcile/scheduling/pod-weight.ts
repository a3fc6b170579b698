/** What pods count for when nodes are compared: a pod that asks for nothing still costs something. Source: scheduler's documented defaults. */
import type { Resources } from '../../kinds/index.ts';

const LEAST_CPU = 100;
const LEAST_MEMORY = 200 * 1024 * 1024;

/** The weight of what a pod asks for. */
export const weightOf = (requests: Resources) => ({
	cpu: requests.cpu || LEAST_CPU,
	memory: requests.memory || LEAST_MEMORY,
});
