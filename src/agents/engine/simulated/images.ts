/** Images that are names alone: every one can be fetched, but those of a registry below `.invalid`. */
import { createHash } from 'node:crypto';
import type { EngineEvent } from '../engine.ts';
import { EngineError } from '../error.ts';
import type { Image, ImageStore } from '../image.ts';

/** The top-level domain that no registry is in. Source: RFC 2606, section 2. */
const UNREACHABLE = /^[^/]+\.invalid(:\d+)?\//;
/** Bytes that each image is said to have. */
const SIZE = 1_000_000;

export function simulatedImages(scheme: string, tell: (event: EngineEvent) => void): ImageStore {
	/** By reference. */
	const images = new Map<string, Image>();
	const add = (reference: string, fetched: boolean) => {
		const name = tagged(reference);
		const digest = `sha256:${createHash('sha256').update(name).digest('hex')}`;
		const digests = fetched ? [`${repositoryOf(name)}@${digest}`] : [];
		images.set(name, { id: digest, tags: name.includes('@') ? [] : [name], digests, size: SIZE, user: '' });
		tell({ type: 'image', change: 'added', id: reference, name: reference });
	};
	return {
		inspect: async (reference) =>
			images.get(tagged(reference)) ?? [...images.values()].find(({ id }) => id === reference),
		list: async () => [...images.values()],
		async pull(reference) {
			const host = UNREACHABLE.exec(reference)?.[0].slice(0, -1);
			if (host) throw new EngineError('failed', `pull image ${reference}`, `dial tcp: lookup ${host}: no such host`);
			add(reference, true);
		},
		load: async (reference) => add(reference, false),
		uri: (id, digest) => `${scheme}://${digest ?? id}`,
		async remove(reference) {
			const image = images.get(tagged(reference));
			if (!image) return;
			images.delete(tagged(reference));
			tell({ type: 'image', change: 'removed', id: image.id, name: reference });
		},
	};
}

const tagged = (reference: string) => (/@|:[^/]*$/.test(reference) ? reference : `${reference}:latest`);
const repositoryOf = (reference: string) => reference.replace(/@.*$|:[^/:]*$/, '');
