/** Images as containers need them: looked up once, fetched in the background, tried again with backoff. */

import type * as core from 'kubernetes-types/core/v1.js';
import pLimit from 'p-limit';
import type { EventRecorder } from '../../client/index.ts';
import type { Pod } from '../../kinds/index.ts';
import { type Engine, EngineError, type EngineEvent, type Image, type RegistryAuth } from '../engine/index.ts';
import type { Wheel } from '../wheel.ts';
import type { Objects } from './environment.ts';
import type { Mirror } from './mirror.ts';
import { uidOf } from './names.ts';
import type { Failure, ImageState } from './observed.ts';
import { fieldPath, members } from './outlook.ts';
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
	/** An image as statuses name it: by its digest, of the repository of `reference` where it is in several, else by its id. */
	uri(id: string, reference: string): string;
	state(pod: Pod, container: core.Container): ImageState;
	/** Begins to fetch; the pod is poked when it has ended. */
	pull(pod: Pod, container: core.Container): void;
	/** The container was created: with the policy Always its next start fetches again. */
	used(pod: Pod, container: core.Container): void;
	/** The engine tells of an image that has come, gone or got another name. Gives the references that may mean another by now. */
	changed(event: Pick<Extract<EngineEvent, { type: 'image' }>, 'change' | 'id' | 'name'>): ReadonlySet<string>;
	/** Anything may have changed: each is looked up again when it is needed. */
	doubtAll(): void;
	/** The pod is gone: what is fetched for it alone is given up. */
	forget(uid: string): void;
}

export interface ImagesOptions {
	readonly engine: Engine;
	readonly objects: Objects;
	readonly events: EventRecorder;
	readonly wheel: Wheel;
	readonly now: () => number;
	readonly signal: AbortSignal;
	/** An image was fetched that was not there. */
	fetched(id: string): void;
	changed(uid: string): void;
}

interface Pull {
	readonly done: Promise<void>;
	readonly stop: AbortController;
	/** Uids of the pods that wait for it. */
	readonly users: Set<string>;
}

type Attempt =
	| { readonly state: 'pulling' }
	| { readonly state: 'pulled' }
	| { readonly state: 'failed'; failure: Failure };

export function createImages(options: ImagesOptions): Images {
	const { engine, objects, events, wheel, now, signal, fetched, changed } = options;
	/** What each reference meant when it was last looked up; what may mean another image by now is in doubt. */
	const known = new Map<string, Image | undefined>();
	const doubtful = new Set<string>();
	const looking = new Map<string, Promise<void>>();
	const digests = new Map<string, readonly string[]>();
	/** By `uid/container`. */
	const attempts = new Map<string, Attempt>();
	/** By reference and credentials. */
	const pulls = new Map<string, Pull>();
	const limit = pLimit(PULLS);

	/** Nothing to try; looked at again in a while. */
	const failed = (reason: string, message: string): ImageState => {
		const at = now();
		return { state: 'failed', failure: { reason, message, at, until: at + BACKOFF_FIRST_MS, count: 1 } };
	};
	const keyOf = (pod: Pod, container: core.Container) => `${uidOf(pod)}/${container.name}`;
	const lookUp = async (reference: string): Promise<void> => {
		do {
			// What changes from here on puts it in doubt again.
			doubtful.delete(reference);
			try {
				const image = await engine.images.inspect(reference);
				known.set(reference, image);
				if (image?.digests.length) digests.set(image.id, image.digests);
			} catch (error) {
				doubtful.add(reference);
				// A reference that the engine cannot read is none that it has.
				if (!(error instanceof EngineError) || error.fault !== 'failed') throw error;
				known.set(reference, undefined);
				doubtful.delete(reference);
			}
		} while (doubtful.has(reference));
	};
	const settle = (reference: string): Promise<void> => {
		let look = looking.get(reference);
		if (!look) {
			look = lookUp(reference).finally(() => looking.delete(reference));
			looking.set(reference, look);
		}
		return look;
	};
	/** The same image for many containers is fetched once, and for as long as one of them is wanted. */
	const fetch = (reference: string, pod: Pod): Promise<void> => {
		const { found, missing } = credentials(pod, reference, objects);
		if (missing.length > 0) {
			const message = `Unable to retrieve some image pull secrets (${missing.join(', ')}); attempting to pull the image may not succeed.`;
			events.event(pod, 'Warning', 'FailedToRetrieveImagePullSecret', message);
		}
		const key = JSON.stringify([reference, found]);
		let pull = pulls.get(key);
		if (!pull || pull.stop.signal.aborted) {
			const stop = new AbortController();
			const done = limit(() => attempt(reference, found, AbortSignal.any([signal, stop.signal])));
			const begun: Pull = { stop, done, users: new Set() };
			pull = begun;
			pulls.set(key, begun);
			const over = () => {
				if (pulls.get(key) === begun) pulls.delete(key);
			};
			done.then(over, over);
		}
		pull.users.add(uidOf(pod));
		return pull.done;
	};
	/** With each of the credentials until the registry takes one; throws the last refusal. */
	const attempt = async (reference: string, found: readonly RegistryAuth[], signal: AbortSignal): Promise<void> => {
		signal.throwIfAborted();
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
		// What somebody else has put into the engine is not this node's to remove.
		const had = known.get(reference) !== undefined;
		try {
			await fetch(reference, pod);
			doubtful.add(reference);
			await settle(reference);
			const image = known.get(reference);
			if (image && !had) fetched(image.id);
			const took = `${((now() - began) / 1000).toFixed(3)}s`;
			const size = image ? ` Image size: ${image.size} bytes.` : '';
			const message = `Successfully pulled image "${reference}" in ${took} (${took} including waiting).${size}`;
			tell('Normal', 'Pulled', message);
			attempts.set(key, { state: 'pulled' });
		} catch (error) {
			// The node stops, or the pod has gone meanwhile.
			if (signal.aborted || !attempts.has(key)) return;
			const message = (error as EngineError).detail ?? (error as Error).message;
			tell('Warning', 'Failed', `Failed to pull image "${reference}": ${message}`);
			tell('Warning', 'Failed', 'Error: ErrImagePull');
			const at = now();
			const until = at + Math.min(BACKOFF_FIRST_MS * 2 ** count, BACKOFF_MAX_MS);
			const failure: Failure = { reason: 'ErrImagePull', message, at, until, count: count + 1 };
			const attempt: Attempt = { state: 'failed', failure };
			attempts.set(key, attempt);
			wheel.after(BACKOFF_SHOWN_AFTER_MS, () => {
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
			const references = members(pod).map(({ container: { image = '' } }) => image);
			const unknown = [...new Set(references)].filter((one) => !known.has(one) || doubtful.has(one));
			await Promise.all(unknown.map(settle));
		},
		get: (reference) => known.get(reference),
		uri(id, reference) {
			const all = digests.get(id);
			const name = parseReference(reference)?.name;
			return engine.images.uri(id, all?.find((digest) => digest.startsWith(`${name}@`)) ?? all?.[0]);
		},
		state(pod, container) {
			const reference = container.image ?? '';
			const policy = container.imagePullPolicy ?? 'IfNotPresent';
			const attempt = attempts.get(keyOf(pod, container));
			const present = known.get(reference) !== undefined;
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
		changed({ change, id, name }) {
			const named = new Set([id, name].map((one) => repository(one ?? '')));
			const concerned = [...known].filter(([reference, image]) => {
				if (change === 'removed') return image?.id === id;
				// A name may have moved on to another image; one that was missing may be there now.
				return image === undefined || named.has(repository(reference));
			});
			for (const [reference] of concerned) doubtful.add(reference);
			return new Set(concerned.map(([reference]) => reference));
		},
		doubtAll() {
			for (const reference of known.keys()) doubtful.add(reference);
		},
		forget(uid) {
			for (const key of attempts.keys()) if (key.startsWith(`${uid}/`)) attempts.delete(key);
			for (const { users, stop } of pulls.values()) if (users.delete(uid) && users.size === 0) stop.abort();
		},
	};
}

/** Without tag and digest, and whole however it was written. */
function repository(reference: string): string | undefined {
	const parsed = parseReference(reference);
	return parsed && `${parsed.registry}/${parsed.path}`;
}

/** Ids of the images that containers of the node have, or that its pods are to run. */
export function usedImages(mirror: Mirror, images: Images, pods: Iterable<Pod>): ReadonlySet<string> {
	const used = new Set<string>();
	for (const uid of mirror.uids())
		for (const part of mirror.of(uid)) if (part.kind === 'container') used.add(part.imageId);
	for (const pod of pods)
		for (const { container } of members(pod)) {
			const id = images.get(container.image ?? '')?.id;
			if (id) used.add(id);
		}
	return used;
}

/** Whether a container of the pod is to run one of the images. */
export function usesImage(pod: Pod, references: ReadonlySet<string>): boolean {
	return members(pod).some(({ container: { image = '' } }) => references.has(image));
}
