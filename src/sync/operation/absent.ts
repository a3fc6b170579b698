/**
 * Namespaces, and accounts of pods, that objects name and that are not there, or not for long. Nobody makes them without being told,
 * and whoever does may do so at any time: such an object is missing, a sync of it fails, and is begun again when that has come.
 */
import type { Cache } from '../../client/index.ts';
import {
	type Application,
	type ApplicationStatus,
	type Dynamic,
	Namespace,
	ServiceAccount,
} from '../../kinds/index.ts';
import type { Compared } from '../compare/compare.ts';
import type { Desired } from '../want/desired.ts';
import { missingOf } from '../want/dry-run.ts';
import { inApplication } from '../want/namespace.ts';
import { optionOf } from '../want/options.ts';
import { waveOf } from './order.ts';

export interface Surroundings {
	readonly application: Pick<Application, 'spec'>;
	/** Those of the sync. */
	readonly options: readonly string[] | undefined;
	/** All that the source describes; a sync may be about some of it only. */
	readonly desired: ReadonlyMap<string, Desired>;
	readonly cache: Cache;
}

/** Whether a sync of some objects brings what one of them lacks, by its id, and in time. */
export type Brings = (id: string, wanted: Desired) => boolean;

export function bringing(
	objects: Iterable<Pick<Compared, 'desired'>>,
	{ application, options, desired: described, cache }: Surroundings,
): Brings {
	const { namespace: home } = application.spec.destination;
	const creates = optionOf('CreateNamespace', options) === 'true';
	const brought = new Set([...objects].map(({ desired }) => desired?.id));
	return (id, wanted) => {
		const own = described.get(id);
		if (own && brought.has(id) && waveOf(own.object) <= waveOf(wanted.object)) return true;
		// A manifest of its own goes before the option, which makes what is not there, and nothing that is on its way out.
		const made = creates && home && id === namespaceId(home) && !cache.informer(Namespace).get(home);
		return Boolean(made) && (!own || own.manifest.file === inApplication);
	};
}

/** Why a sync of these objects could not make some of them, by id: their namespace is not there, and the sync brings it not, or too late. */
export function homeless(
	objects: Iterable<Pick<Compared, 'desired' | 'live'>>,
	surroundings: Surroundings,
): Map<string, { readonly message: string }> {
	const all = [...objects];
	const brings = bringing(all, surroundings);
	const found = new Map<string, { readonly message: string }>();
	for (const { desired, live } of all) {
		const name = desired?.object.metadata.namespace;
		if (!name || live) continue;
		const there = surroundings.cache.informer(Namespace).get(name);
		if ((there && !there.metadata.deletionTimestamp) || brings(namespaceId(name), desired)) continue;
		const message = there ? terminatingText(name) : `${missingText(name)}: ${adviceOn(name, surroundings)}`;
		found.set(desired.id, { message });
	}
	return found;
}

/** What to do about a refusal in these words, of an object of a sync that does not bring what it lacks. */
export function adviceFor(message: string, surroundings: Surroundings): string | undefined {
	const [, kind, , name = ''] = missingOf(message)?.split('/') ?? [];
	return kind === 'Namespace' ? adviceOn(name, surroundings) : undefined;
}

function adviceOn(name: string, { application, desired }: Surroundings): string {
	return desired.has(namespaceId(name))
		? 'its Namespace is in the source, but not in this sync, or in a later wave; sync it too, and in no later one'
		: namespaceAdvice(name, application.spec.destination.namespace);
}

/** What to do about a namespace that no source describes. */
export function namespaceAdvice(name: string, home: string | undefined): string {
	const option = name === home ? ', or set the sync option CreateNamespace=true' : '';
	return `put a Namespace of this name into the source${option}`;
}

const namespaceId = (name: string) => `-/Namespace/-/${name}`;

/** How the API says that a namespace is not there, and that it is on its way out. */
const missingText = (name: string) => `namespaces "${name}" not found`;
const terminatingText = (name: string) =>
	`unable to create new content in namespace ${name} because it is being terminated`;

/** What failed in the last sync. The status says it, so that a new process knows it too. */
const failuresOf = ({ operationState }: ApplicationStatus = {}) =>
	(operationState?.syncResult?.resources ?? []).filter(({ status }) => status === 'SyncFailed');

/** Whether an object failed in the last sync for what is there now, or for a namespace that was on its way out and has gone. */
export function hasCome(status: ApplicationStatus | undefined, cache: Cache): boolean {
	return failuresOf(status).some(({ namespace = '', message = '' }) => {
		const home = cache.informer(Namespace).get(namespace);
		if (home?.metadata.deletionTimestamp) return false;
		// What has gone at last may be made anew: by the sync itself, or by who is told.
		if (message.includes(terminatingText(namespace))) return true;
		const [, kind, within, name] = missingOf(message)?.split('/') ?? [];
		if (kind === 'Namespace') return cache.informer(Namespace).get(name ?? '') !== undefined;
		return kind === 'ServiceAccount' && cache.informer(ServiceAccount).get(`${within}/${name}`) !== undefined;
	});
}

/** Whether an object of this namespace failed in the last sync. */
export function hasFailedIn(namespace: string, status: ApplicationStatus | undefined): boolean {
	return failuresOf(status).some((each) => each.namespace === namespace);
}

/** The namespace in which something has come that objects may have lacked: that itself, or an account in it. */
export function mayBeLackedIn({ apiVersion, kind, metadata }: Dynamic): string | undefined {
	if (apiVersion !== 'v1') return undefined;
	if (kind === 'Namespace') return metadata.name;
	return kind === 'ServiceAccount' ? metadata.namespace : undefined;
}
