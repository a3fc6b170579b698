/** Brings a pod's status to the API: only what differs, one write at a time, the newest wish wins. */
import { isDeepStrictEqual } from 'node:util';
import type * as core from 'kubernetes-types/core/v1.js';
import type { Pod } from '../../kinds/index.ts';
import { ApiError, Pod as PodKind } from '../../kinds/index.ts';
import type { PodContext } from './context.ts';
import { PASSING } from './pod-conditions.ts';

const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 30_000;
/** Answers to a status that the API will never take. */
const REFUSED = [400, 413, 415, 422];
/** Also those of a pod that is gone, or whose name another has: the informer will say so. Every other failure is tried again. */
const FINAL = [404, 409, ...REFUSED];

export interface Reporter {
	/** The pod with the newest status that is known: the API's, or what was written since. */
	current(pod: Pod): Pod;
	report(pod: Pod, status: core.PodStatus): void;
	/** Settles when the last wish is written, or cannot be for now: false then, and the pod is poked once it is. */
	flush(): Promise<boolean>;
}

export function createReporter(
	{ client, wheel, reports, signal }: Pick<PodContext, 'client' | 'wheel' | 'reports' | 'signal'>,
	poke: () => void,
	apiUid: (pod: Pod) => string | undefined = ({ metadata }) => metadata.uid,
): Reporter {
	let wish: { readonly pod: Pod; readonly status: core.PodStatus } | undefined;
	let written: Pod | undefined;
	let writing: Promise<void> | undefined;
	let failures = 0;
	/** After a failure nothing is tried for a while. */
	let paused = false;

	const current = (pod: Pod): Pod => {
		if (!written || revision(pod) >= revision(written)) return pod;
		return { ...pod, status: written.status };
	};
	/** Nothing is left of the last wish; who waited for it goes on. */
	const settle = () => {
		if (failures > 0) poke();
		failures = 0;
	};
	const write = async () => {
		while (wish && !signal.aborted) {
			const { pod, status } = wish;
			wish = undefined;
			const known = current(pod).status ?? {};
			const changes = difference(known, steady(status, known));
			if (!changes) {
				settle();
				continue;
			}
			const { name, namespace } = pod.metadata;
			const uid = apiUid(pod);
			// A static pod that the API does not show yet: what it is then is told.
			if (uid === undefined) {
				settle();
				continue;
			}
			try {
				const body = { metadata: { uid }, status: changes };
				const patch = { type: 'strategic', body } as const;
				written = await client.patch(PodKind, { name, namespace }, patch, { subresource: 'status' });
				settle();
				reports.healed('status', 'pod statuses are written again');
			} catch (error) {
				if (signal.aborted) return;
				if (error instanceof ApiError && FINAL.includes(error.code)) {
					settle();
					if (REFUSED.includes(error.code))
						reports.failed('refused', error, 'a pod status is refused', { pod: `${namespace}/${name}` });
					continue;
				}
				reports.failed('status', error, 'a pod status could not be written; trying on', {
					pod: `${namespace}/${name}`,
				});
				const pause = Math.min(RETRY_FIRST_MS * 2 ** failures++, RETRY_MAX_MS);
				wish ??= { pod, status };
				paused = true;
				wheel.after(pause, () => {
					paused = false;
					begin();
				});
				return;
			}
		}
	};
	const begin = () => {
		writing ??= write().finally(() => {
			writing = undefined;
			// A wish that came in the moment between the last look and now; after a failure the wheel goes on.
			if (wish && !paused && !signal.aborted) begin();
		});
	};
	return {
		current,
		report(pod, status) {
			wish = { pod, status };
			if (!paused) begin();
		},
		flush: async () => {
			while (writing) await writing;
			return wish === undefined;
		},
	};
}

const revision = (pod: Pod) => Number(pod.metadata.resourceVersion ?? 0);

/**
 * A wish may be older than the write before it: a condition that has not changed since keeps its time, or two times would follow
 * each other without end.
 */
function steady(status: core.PodStatus, known: core.PodStatus): core.PodStatus {
	const conditions = status.conditions?.map((condition) => {
		const last = known.conditions?.find(({ type }) => type === condition.type);
		const same = last?.status === condition.status && last.lastTransitionTime !== undefined;
		return same ? { ...condition, lastTransitionTime: last.lastTransitionTime } : condition;
	});
	return conditions ? { ...status, conditions } : status;
}

/** Lists that a strategic merge patch would only add to. */
const whole = new Set(['podIPs', 'hostIPs']);

/**
 * A strategic merge patch from one status to the other; undefined where nothing differs. Of the conditions only those that
 * differ, by their types: what others write of them meanwhile stays. Those that pass are taken out when they have.
 */
export function difference(from: core.PodStatus, to: core.PodStatus): Record<string, unknown> | undefined {
	const before = plain(from);
	const after = plain(to);
	const changes: Record<string, unknown> = {};
	for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
		const value = after[key];
		if (isDeepStrictEqual(before[key], value)) continue;
		if (key === 'conditions') changes[key] = changedConditions(from.conditions ?? [], to.conditions ?? []);
		else if (whole.has(key) && Array.isArray(value)) changes[key] = [...value, { $patch: 'replace' }];
		else changes[key] = value ?? null;
	}
	return Object.keys(changes).length > 0 ? changes : undefined;
}

function changedConditions(before: readonly core.PodCondition[], after: readonly core.PodCondition[]): object[] {
	const over = before.filter(({ type }) => PASSING.has(type) && !after.some((one) => one.type === type));
	const changed = after.flatMap((condition) => {
		const last = before.find(({ type }) => type === condition.type) ?? {};
		// Fields that it does not have any more are taken out by name.
		const gone = Object.fromEntries(Object.keys(last).map((field) => [field, null]));
		return isDeepStrictEqual(plain(last), plain(condition)) ? [] : [{ ...gone, ...condition }];
	});
	return [...changed, ...over.map(({ type }) => ({ $patch: 'delete', type }))];
}

/** As it looks in JSON: without fields that are undefined. */
const plain = (value: object) => JSON.parse(JSON.stringify(value)) as Record<string, unknown>;
