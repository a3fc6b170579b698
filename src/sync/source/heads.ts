/**
 * Where the branches and tags of an embedded repository are. That belongs to the cluster, not to the repository of one
 * server, which may be older than what another server has taken: see docs/decisions/0014-embedded-head.md.
 */
import type { Client } from '../../client/index.ts';
import { ApiError, ConfigMap } from '../../kinds/index.ts';
import type { Refs, Repository } from '../git/index.ts';

export interface RefChange {
	/** `refs/heads/main`. */
	readonly ref: string;
	/** Object ids; absent for what is created or deleted. */
	readonly before?: string;
	readonly after?: string;
}

export interface Heads {
	/** They are kept apart from git's references, and move before those. */
	readonly apart?: true;
	read(): Promise<Refs>;
	/** Moves references, all or none. Throws HeadMoved where one is not at its `before` any more. Moving what has been moved is no fault. */
	move(changes: readonly RefChange[]): Promise<void>;
}

export class HeadMoved extends Error {
	override readonly name = 'HeadMoved';
}

/** The repository's own: where no cluster keeps them. Git moves them itself. */
export const ownHeads = (repository: Repository): Heads => ({ read: () => repository.refs(), move: async () => {} });

/** Times that a write that met another's is tried again. */
const ATTEMPTS = 10;

/** In the ConfigMap `driftless-repository-NAME` of kube-system. `client` may come later than the repository. */
export function clusterHeads(client: () => Client | undefined, name: string, repository: Repository): Heads {
	const metadata = { name: `driftless-repository-${name}`, namespace: 'kube-system' };
	const connected = () => {
		const connection = client();
		if (!connection) throw new Error('the API is not ready yet');
		return connection;
	};
	const get = () => connected().get(ConfigMap, metadata).catch(unless('NotFound'));
	/** A repository that is older than this object begins it. */
	const begin = async (): Promise<ConfigMap | undefined> => {
		const refs = await repository.refs();
		if (refs.size === 0) return undefined;
		const made = await connected().create(ConfigMap, configMap(metadata, refs)).catch(unless('AlreadyExists'));
		return made ?? get();
	};
	return {
		apart: true,
		async read() {
			return parse((await get()) ?? (await begin()));
		},
		async move(changes) {
			for (let attempt = 1; ; attempt++) {
				const kept = (await get()) ?? (await begin());
				const refs = planMove(parse(kept), changes);
				try {
					const next = configMap(kept?.metadata ?? metadata, refs);
					await (kept ? connected().update(ConfigMap, next) : connected().create(ConfigMap, next));
					return;
				} catch (error) {
					const raced = error instanceof ApiError && ['Conflict', 'AlreadyExists', 'NotFound'].includes(error.reason);
					if (!raced || attempt === ATTEMPTS) throw error;
				}
			}
		},
	};
}

/** The references after the changes. Throws HeadMoved. */
export function planMove(refs: Refs, changes: readonly RefChange[]): Refs {
	const next = new Map(refs);
	for (const { ref, before, after } of changes) {
		const now = refs.get(ref);
		if (now !== before && now !== after)
			throw new HeadMoved(`${ref} is at ${now ?? 'nothing'}, not at ${before ?? 'nothing'}`);
		if (after === undefined) next.delete(ref);
		else next.set(ref, after);
	}
	return next;
}

const configMap = (metadata: ConfigMap['metadata'], refs: Refs): ConfigMap => ({
	apiVersion: 'v1',
	kind: 'ConfigMap',
	metadata,
	data: { refs: [...refs].map(([ref, id]) => `${id} ${ref}\n`).join('') },
});

function parse(kept: ConfigMap | undefined): Refs {
	const lines = (kept?.data?.refs ?? '').split('\n').map((line) => line.trim().split(' ', 2));
	return new Map(lines.flatMap(([id, ref]) => (id && ref ? [[ref, id] as const] : [])));
}

const unless = (reason: string) => (error: unknown) => {
	if (error instanceof ApiError && error.reason === reason) return undefined;
	throw error;
};
