/**
 * Namespaces that objects name and that are not there, or not for long. Nobody makes them without being told, and whoever does may do
 * so at any time: such an object is missing, a sync of it fails, and is begun again when the namespace has come.
 */
import type { Cache, Client } from '../../client/index.ts';
import { ApiError, type Application, type ApplicationStatus, type Dynamic, Namespace } from '../../kinds/index.ts';
import type { Compared } from '../compare/compare.ts';
import type { Desired } from '../want/desired.ts';
import { inApplication } from '../want/namespace.ts';
import { optionOf } from '../want/options.ts';
import { waveOf } from './order.ts';

/** An object whose namespace a sync would lack. */
export interface Homeless {
	readonly desired: Desired;
	/** What is not there, and what to do. */
	readonly message: string;
}

export interface Surroundings {
	readonly application: Pick<Application, 'spec'>;
	/** Those of the sync. */
	readonly options: readonly string[] | undefined;
	/** All that the source describes; a sync may be about some of it only. */
	readonly desired: ReadonlyMap<string, Desired>;
	readonly cache: Cache;
}

/** What of these objects a sync of them could not make, by id: their namespace is not there, and the sync brings it not, or too late. */
export function homeless(
	objects: Iterable<Pick<Compared, 'desired' | 'live'>>,
	{ application, options, desired: described, cache }: Surroundings,
): Map<string, Homeless> {
	const { namespace: home } = application.spec.destination;
	const creates = optionOf('CreateNamespace', options) === 'true';
	const all = [...objects];
	const brought = new Set(all.map(({ desired }) => desired?.id));
	const found = new Map<string, Homeless>();
	for (const { desired, live } of all) {
		const name = desired?.object.metadata.namespace;
		if (!name || live) continue;
		const own = described.get(namespaceId(name));
		const comes = own && brought.has(own.id) && waveOf(own.object) <= waveOf(desired.object);
		const there = cache.informer(Namespace).get(name);
		// A manifest of its own goes before the option.
		const made = creates && name === home && (!own || own.manifest.file === inApplication);
		if (comes || (there ? !there.metadata.deletionTimestamp : made)) continue;
		const message = there ? terminatingText(name) : `${missingText(name)}: ${advice(name, home, own?.object)}`;
		found.set(desired.id, { desired, message });
	}
	return found;
}

/** Those of them that are so by the API itself: the cache may lag behind who has just made a namespace. */
export async function stillHomeless(found: ReadonlyMap<string, Homeless>, client: Client): Promise<Homeless[]> {
	const names = new Set([...found.values()].map(nameOf));
	const there = new Set<string>();
	for (const name of names) if (await isThere(name, client)) there.add(name);
	return [...found.values()].filter((each) => !there.has(nameOf(each)));
}

const nameOf = ({ desired }: Homeless) => desired.object.metadata.namespace ?? '';

async function isThere(name: string, client: Client): Promise<boolean> {
	try {
		return (await client.get(Namespace, { name })).metadata.deletionTimestamp === undefined;
	} catch (error) {
		if (error instanceof ApiError && error.reason === 'NotFound') return false;
		throw error;
	}
}

function advice(name: string, home: string | undefined, own: Dynamic | undefined): string {
	return own
		? 'its Namespace is in the source, but not in this sync, or in a later wave; sync it too, and in no later one'
		: namespaceAdvice(name, home);
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

const isLeaving = (message: string, namespace: string) => message.includes(terminatingText(namespace));

/** Whether an object failed in the last sync for a namespace that is there now, or has gone that was on its way out. The status says it, so that a new process knows it too. */
export function isHoused({ operationState }: ApplicationStatus, cache: Cache): boolean {
	const results = operationState?.syncResult?.resources ?? [];
	return results.some(({ status, namespace = '', message = '' }) => {
		if (status !== 'SyncFailed') return false;
		const there = cache.informer(Namespace).get(namespace);
		if (there?.metadata.deletionTimestamp) return false;
		// What has gone at last may be made anew: by the sync itself, or by who is told.
		return isLeaving(message, namespace) || (there !== undefined && message.startsWith(missingText(namespace)));
	});
}
