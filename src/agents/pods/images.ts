/** Images as containers need them: looked up once, fetched in the background, tried again with backoff. */

import type * as core from 'kubernetes-types/core/v1.js';
import pLimit from 'p-limit';
import type { EventRecorder } from '../../client/index.ts';
import type { Pod } from '../../kinds/index.ts';
import { type Engine, EngineError, type Image } from '../engine/engine.ts';
import type { Wheel } from '../wheel.ts';
import type { Objects } from './environment.ts';
import { uidOf } from './names.ts';
import type { Failure, ImageState } from './observed.ts';
import { credentials } from './registry-auth.ts';

/** Pause before a failed pull is tried again: it doubles each time. Source: Kubernetes documentation, "Images". */
const BACKOFF_FIRST_MS = 10_000;
const BACKOFF_MAX_MS = 300_000;
/** How long a failed pull is called ErrImagePull before it is called ImagePullBackOff. */
const BACKOFF_SHOWN_AFTER_MS = 1_000;
/** Images fetched at once. */
const PULLS = 3;

export interface Images {
	/** Looks up the images of the pod that are not known yet. */
	prepare(pod: Pod): Promise<void>;
	get(reference: string): Image | undefined;
	/** The repository digest of an image id. */
	digest(id: string): string | undefined;
	state(pod: Pod, container: core.Container): ImageState;
	/** Begins to fetch; the pod is poked when it has ended. */
	pull(pod: Pod, container: core.Container): void;
	/** The container was created: with the policy Always its next start fetches again. */
	used(pod: Pod, container: core.Container): void;
	/** Something about the engine's images has changed. */
	invalidate(): void;
	forget(uid: string): void;
}

export interface ImagesOptions {
	readonly engine: Engine;
	readonly objects: Objects;
	readonly events: EventRecorder;
	readonly wheel: Wheel;
	readonly now: () => number;
	readonly signal: AbortSignal;
	changed(uid: string): void;
}

type Attempt =
	| { readonly state: 'pulling' }
	| { readonly state: 'pulled' }
	| { readonly state: 'failed'; failure: Failure };

export function createImages(options: ImagesOptions): Images {
	const { engine, objects, events, wheel, now, signal, changed } = options;
	const known = new Map<string, Promise<Image | undefined>>();
	const settled = new Map<string, Image | undefined>();
	const digests = new Map<string, string>();
	/** By `uid/container`. */
	const attempts = new Map<string, Attempt>();
	const pulls = new Map<string, Promise<void>>();
	const limit = pLimit(PULLS);
	let generation = 0;

	const keyOf = (pod: Pod, container: core.Container) => `${uidOf(pod)}/${container.name}`;
	const lookUp = async (reference: string) => {
		const asked = generation;
		const image = await engine.images.inspect(reference).catch((error: unknown) => {
			// A reference that Docker cannot read is none that it has.
			if (error instanceof EngineError && error.fault === 'failed') return undefined;
			known.delete(reference);
			throw error;
		});
		if (asked === generation) settled.set(reference, image);
		if (image?.digests[0]) digests.set(image.id, image.digests[0]);
		return image;
	};
	const find = (reference: string): Promise<Image | undefined> => {
		let finding = known.get(reference);
		if (!finding) {
			finding = lookUp(reference);
			known.set(reference, finding);
		}
		return finding;
	};
	const invalidate = () => {
		generation++;
		known.clear();
		settled.clear();
	};
	/** The same image for many containers is fetched once. */
	const fetch = (reference: string, pod: Pod): Promise<void> => {
		const auth = credentials(pod, reference, objects);
		const key = JSON.stringify([reference, auth]);
		let pull = pulls.get(key);
		if (!pull) {
			pull = limit(() => engine.images.pull(reference, auth, signal)).finally(() => pulls.delete(key));
			pulls.set(key, pull);
		}
		return pull;
	};

	const run = async (pod: Pod, container: core.Container, count: number) => {
		const reference = container.image ?? '';
		const key = keyOf(pod, container);
		const began = now();
		events.event(pod, 'Normal', 'Pulling', `Pulling image "${reference}"`);
		try {
			await fetch(reference, pod);
			invalidate();
			const image = await find(reference);
			const took = `${((now() - began) / 1000).toFixed(3)}s`;
			const size = image ? ` Image size: ${image.size} bytes.` : '';
			const message = `Successfully pulled image "${reference}" in ${took} (${took} including waiting).${size}`;
			events.event(pod, 'Normal', 'Pulled', message);
			attempts.set(key, { state: 'pulled' });
		} catch (error) {
			if (signal.aborted) return;
			const message = (error as EngineError).detail ?? (error as Error).message;
			events.event(pod, 'Warning', 'Failed', `Failed to pull image "${reference}": ${message}`);
			events.event(pod, 'Warning', 'Failed', 'Error: ErrImagePull');
			const at = now();
			const until = at + Math.min(BACKOFF_FIRST_MS * 2 ** count, BACKOFF_MAX_MS);
			const failure: Failure = { reason: 'ErrImagePull', message, at, until, count: count + 1 };
			const attempt: Attempt = { state: 'failed', failure };
			attempts.set(key, attempt);
			wheel.at(at + BACKOFF_SHOWN_AFTER_MS, () => {
				if (attempts.get(key) !== attempt) return;
				events.event(pod, 'Normal', 'BackOff', `Back-off pulling image "${reference}"`);
				events.event(pod, 'Warning', 'Failed', 'Error: ImagePullBackOff');
				const shown = `Back-off pulling image "${reference}": ErrImagePull: ${message}`;
				attempt.failure = { ...failure, reason: 'ImagePullBackOff', message: shown };
				changed(uidOf(pod));
			});
		}
		changed(uidOf(pod));
	};

	return {
		async prepare(pod) {
			const references = [...(pod.spec.initContainers ?? []), ...pod.spec.containers].map(({ image = '' }) => image);
			await Promise.all([...new Set(references)].filter((one) => !settled.has(one)).map(find));
		},
		get: (reference) => settled.get(reference),
		digest: (id) => digests.get(id),
		state(pod, container) {
			const reference = container.image ?? '';
			const policy = container.imagePullPolicy ?? 'IfNotPresent';
			const attempt = attempts.get(keyOf(pod, container));
			const present = settled.get(reference) !== undefined;
			if (attempt?.state === 'pulling') return { state: 'pulling' };
			if (present && (policy !== 'Always' || attempt?.state === 'pulled')) return { state: 'present' };
			if (policy === 'Never') {
				const message = `Container image "${reference}" is not present with pull policy of Never`;
				const at = now();
				return { state: 'failed', failure: { reason: 'ErrImageNeverPull', message, at, until: at + 10_000, count: 1 } };
			}
			if (attempt?.state === 'failed') return attempt;
			return { state: 'absent' };
		},
		pull(pod, container) {
			const key = keyOf(pod, container);
			const before = attempts.get(key);
			if (before?.state === 'pulling') return;
			attempts.set(key, { state: 'pulling' });
			void run(pod, container, before?.state === 'failed' ? before.failure.count : 0);
		},
		used(pod, container) {
			attempts.delete(keyOf(pod, container));
		},
		invalidate,
		forget(uid) {
			for (const key of attempts.keys()) if (key.startsWith(`${uid}/`)) attempts.delete(key);
		},
	};
}
