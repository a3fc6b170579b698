/** Images as containers need them: looked up once, fetched in the background, tried again with backoff. */

import type * as core from 'kubernetes-types/core/v1.js';
import pLimit from 'p-limit';
import type { EventRecorder } from '../../client/index.ts';
import type { Pod } from '../../kinds/index.ts';
import { type Engine, EngineError, type Image, type RegistryAuth } from '../engine/engine.ts';
import type { Wheel } from '../wheel.ts';
import type { Objects } from './environment.ts';
import { uidOf } from './names.ts';
import type { Failure, ImageState } from './observed.ts';
import { fieldPath } from './outlook.ts';
import { parseReference } from './reference.ts';
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
	/** The repository digest of an image id, of the repository of `reference` where it has several. */
	digest(id: string, reference: string): string | undefined;
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
	const digests = new Map<string, readonly string[]>();
	/** By `uid/container`. */
	const attempts = new Map<string, Attempt>();
	const pulls = new Map<string, Promise<void>>();
	const limit = pLimit(PULLS);
	let generation = 0;

	/** Nothing to try; looked at again in a while. */
	const failed = (reason: string, message: string): ImageState => {
		const at = now();
		return { state: 'failed', failure: { reason, message, at, until: at + BACKOFF_FIRST_MS, count: 1 } };
	};
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
		if (image?.digests.length) digests.set(image.id, image.digests);
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
		const { found, missing } = credentials(pod, reference, objects);
		if (missing.length > 0) {
			const message = `Unable to retrieve some image pull secrets (${missing.join(', ')}); attempting to pull the image may not succeed.`;
			events.event(pod, 'Warning', 'FailedToRetrieveImagePullSecret', message);
		}
		const key = JSON.stringify([reference, found]);
		let pull = pulls.get(key);
		if (!pull) {
			pull = limit(() => attempt(reference, found)).finally(() => pulls.delete(key));
			pulls.set(key, pull);
		}
		return pull;
	};
	/** With each of the credentials until the registry takes one; throws the last refusal. */
	const attempt = async (reference: string, found: readonly RegistryAuth[]): Promise<void> => {
		if (found.length === 0) return engine.images.pull(reference, undefined, signal);
		let refusal: unknown;
		for (const auth of found) {
			try {
				return await engine.images.pull(reference, auth, signal);
			} catch (error) {
				if (signal.aborted || (error instanceof EngineError && error.fault === 'down')) throw error;
				refusal = error;
			}
		}
		throw refusal;
	};

	const run = async (pod: Pod, container: core.Container, count: number) => {
		const reference = container.image ?? '';
		const key = keyOf(pod, container);
		const began = now();
		const tell = (type: 'Normal' | 'Warning', reason: string, message: string) =>
			events.event(pod, type, reason, message, fieldPath(pod, container.name));
		tell('Normal', 'Pulling', `Pulling image "${reference}"`);
		try {
			await fetch(reference, pod);
			invalidate();
			const image = await find(reference);
			const took = `${((now() - began) / 1000).toFixed(3)}s`;
			const size = image ? ` Image size: ${image.size} bytes.` : '';
			const message = `Successfully pulled image "${reference}" in ${took} (${took} including waiting).${size}`;
			tell('Normal', 'Pulled', message);
			attempts.set(key, { state: 'pulled' });
		} catch (error) {
			if (signal.aborted) return;
			const message = (error as EngineError).detail ?? (error as Error).message;
			tell('Warning', 'Failed', `Failed to pull image "${reference}": ${message}`);
			tell('Warning', 'Failed', 'Error: ErrImagePull');
			const at = now();
			const until = at + Math.min(BACKOFF_FIRST_MS * 2 ** count, BACKOFF_MAX_MS);
			const failure: Failure = { reason: 'ErrImagePull', message, at, until, count: count + 1 };
			const attempt: Attempt = { state: 'failed', failure };
			attempts.set(key, attempt);
			wheel.at(at + BACKOFF_SHOWN_AFTER_MS, () => {
				if (attempts.get(key) !== attempt) return;
				tell('Normal', 'BackOff', `Back-off pulling image "${reference}"`);
				tell('Warning', 'Failed', 'Error: ImagePullBackOff');
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
		digest(id, reference) {
			const known = digests.get(id);
			const name = parseReference(reference)?.name;
			return known?.find((digest) => digest.startsWith(`${name}@`)) ?? known?.[0];
		},
		state(pod, container) {
			const reference = container.image ?? '';
			const policy = container.imagePullPolicy ?? 'IfNotPresent';
			const attempt = attempts.get(keyOf(pod, container));
			const present = settled.get(reference) !== undefined;
			if (attempt?.state === 'pulling') return { state: 'pulling' };
			if (present && (policy !== 'Always' || attempt?.state === 'pulled')) return { state: 'present' };
			if (!parseReference(reference)) {
				const message = `Failed to apply default image tag "${reference}": couldn't parse image name "${reference}": invalid reference format`;
				return failed('InvalidImageName', message);
			}
			if (policy === 'Never') {
				const message = `Container image "${reference}" is not present with pull policy of Never`;
				return failed('ErrImageNeverPull', message);
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
