/** Brings a pod's status to the API: only what differs, one write at a time, the newest wish wins. */
import { isDeepStrictEqual } from 'node:util';
import type * as core from 'kubernetes-types/core/v1.js';
import type { Pod } from '../../kinds/index.ts';
import { ApiError, Pod as PodKind } from '../../kinds/index.ts';
import type { PodContext } from './context.ts';

const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 30_000;

export interface Reporter {
	/** The pod with the newest status that is known: the API's, or what was written since. */
	current(pod: Pod): Pod;
	report(pod: Pod, status: core.PodStatus): void;
	/** Settles when the last wish is written, or cannot be for now. */
	flush(): Promise<void>;
}

export function createReporter({ client, now, wheel, reports, signal }: PodContext): Reporter {
	let wish: { readonly pod: Pod; readonly status: core.PodStatus } | undefined;
	let written: Pod | undefined;
	let writing: Promise<void> | undefined;
	let failures = 0;

	const current = (pod: Pod): Pod => {
		if (!written || revision(pod) >= revision(written)) return pod;
		return { ...pod, status: written.status };
	};
	const write = async () => {
		while (wish && !signal.aborted) {
			const { pod, status } = wish;
			wish = undefined;
			const changes = difference(current(pod).status ?? {}, status);
			if (!changes) continue;
			const { name, namespace, uid } = pod.metadata;
			try {
				const body = { metadata: { uid }, status: changes };
				written = await client.patch(PodKind, { name, namespace }, { type: 'merge', body }, { subresource: 'status' });
				failures = 0;
				reports.healed('status', 'pod statuses are written again');
			} catch (error) {
				// The pod is gone, or another has its name: the informer will say so.
				if (error instanceof ApiError && (error.code === 404 || error.code === 409)) return;
				if (signal.aborted) return;
				reports.failed('status', error, 'a pod status could not be written; trying on', {
					pod: `${namespace}/${name}`,
				});
				const pause = Math.min(RETRY_FIRST_MS * 2 ** failures++, RETRY_MAX_MS);
				wish ??= { pod, status };
				wheel.at(now() + pause, begin);
				return;
			}
		}
	};
	const begin = () => {
		writing ??= write().finally(() => {
			writing = undefined;
			// A wish that came in the moment between the last look and now; after a failure the wheel goes on.
			if (wish && failures === 0 && !signal.aborted) begin();
		});
	};
	return {
		current,
		report(pod, status) {
			wish = { pod, status };
			if (failures === 0) begin();
		},
		flush: async () => {
			await writing;
		},
	};
}

const revision = (pod: Pod) => Number(pod.metadata.resourceVersion ?? 0);

/** A merge patch from one status to the other: whole fields, null for those that go; undefined where nothing differs. */
export function difference(from: core.PodStatus, to: core.PodStatus): Record<string, unknown> | undefined {
	const before = from as Record<string, unknown>;
	const after = to as Record<string, unknown>;
	const changes: Record<string, unknown> = {};
	for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
		if (!isDeepStrictEqual(plain(before[key]), plain(after[key]))) changes[key] = after[key] ?? null;
	}
	return Object.keys(changes).length > 0 ? changes : undefined;
}

/** As it looks in JSON: without fields that are undefined. */
const plain = (value: unknown) => (value === undefined ? undefined : (JSON.parse(JSON.stringify(value)) as unknown));
