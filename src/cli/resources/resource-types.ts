/** From the words for kinds (`pods`, `deploy`, `svc.v1.`, `all`) to kinds: the built-in ones without asking, all others as the server tells. */
import type { HttpClient } from '../../client/index.ts';
import { type Dynamic, type Kind, kind as makeKind, type Registry } from '../../kinds/index.ts';
import { nearest } from '../../kinds/nearest.ts';
import { UserError } from '../user-error.ts';
import { request } from './request.ts';

/** What the objects of a kind are called in messages: `pod`, `deployment.apps`. */
export function kindName({ group, singular }: Pick<Kind, 'group' | 'singular'>): string {
	return group ? `${singular}.${group}` : singular;
}

/** Plural, singular and short names. */
const namesOf = (kind: Kind) => [kind.plural, kind.singular, ...kind.shortNames];

/** The kinds that a word stands for: one, or those of a category; none where no kind has such a name. */
export function matchKinds(word: string, kinds: readonly Kind[]): readonly Kind[] {
	const wanted = word.toLowerCase();
	if (!wanted) return [];
	// Of a kind with several versions that whose objects are stored, unless the word names another.
	const stored = kinds.filter((kind) => !kind.storedAs);
	const exact = stored.find((kind) => namesOf(kind).includes(wanted));
	if (exact) return [exact];
	const qualified = [...stored, ...kinds].find((kind) =>
		namesOf(kind).some(
			(name) =>
				(kind.group !== '' && wanted === `${name}.${kind.group}`) || wanted === `${name}.${kind.version}.${kind.group}`,
		),
	);
	return qualified ? [qualified] : stored.filter((kind) => kind.categories.includes(wanted));
}

/** The kinds that words with commas name, each once. Throws a UserError that suggests what was meant. */
export async function kindsOf(client: HttpClient, words: string): Promise<readonly Kind[]> {
	const builtin = [...client.registry.all()];
	let served: readonly Kind[] | undefined;
	const found = new Set<Kind>();
	for (const word of words.split(',')) {
		let matches = matchKinds(word, builtin);
		// A category may have kinds that only the server knows.
		if (matches.length === 0 || matches.some((kind) => kind.categories.includes(word.toLowerCase()))) {
			served ??= await servedKinds(client);
			matches = matchKinds(word, served);
		}
		if (matches.length === 0) throw unknownType(word, served ?? builtin);
		for (const kind of matches) found.add(kind);
	}
	return [...found];
}

function unknownType(word: string, kinds: readonly Kind[]): UserError {
	const near = nearest(
		word,
		kinds.flatMap((kind) => [kind.plural, kind.singular]),
	);
	const hint = near ? `did you mean ${near}?` : `it has: ${[...new Set(kinds.map(({ plural }) => plural))].join(', ')}`;
	return new UserError(`the server doesn't have a resource type "${word}"; ${hint}`, 1);
}

/** The kind of an object, built in or as the server tells; undefined where neither knows it. */
export async function kindOfObject(client: HttpClient, apiVersion: string, kind: string): Promise<Kind | undefined> {
	const known = client.registry.of(apiVersion, kind);
	if (known) return known;
	const served = await servedKinds(client);
	return served.find((each) => each.kind === kind && apiVersionMatches(each, apiVersion));
}

const apiVersionMatches = ({ group, version }: Kind, apiVersion: string) =>
	apiVersion === (group ? `${group}/${version}` : version);

/** Aggregated discovery. Source: Kubernetes API reference, APIGroupDiscoveryList. */
const DISCOVERY = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json';

interface DiscoveryList {
	readonly kind?: string;
	readonly items?: readonly {
		readonly metadata: { readonly name?: string };
		readonly versions?: readonly { readonly version: string; readonly resources?: readonly DiscoveredResource[] }[];
	}[];
}

interface DiscoveredResource {
	readonly resource: string;
	readonly singularResource?: string;
	readonly responseKind?: { readonly kind?: string };
	readonly scope?: string;
	readonly verbs?: readonly string[];
	readonly shortNames?: readonly string[];
	readonly categories?: readonly string[];
}

/** One per client: a command asks about several words. */
const discovered = new WeakMap<Registry, Promise<readonly Kind[]>>();

/** Every kind that the server serves, in its order; built-in ones as the registry has them. */
function servedKinds(client: HttpClient): Promise<readonly Kind[]> {
	const known = discovered.get(client.registry) ?? discover(client);
	discovered.set(client.registry, known);
	return known;
}

async function discover(client: HttpClient): Promise<readonly Kind[]> {
	const lists = await Promise.all(['/api', '/apis'].map((path) => request(client, { path, accept: DISCOVERY })));
	const kinds: Kind[] = [];
	for (const list of lists as DiscoveryList[]) {
		for (const { metadata, versions = [] } of list.items ?? []) {
			const group = metadata.name ?? '';
			const seen = new Set<string>();
			for (const { version, resources = [] } of versions) {
				for (const resource of resources) {
					// The preferred version comes first.
					if (seen.has(resource.resource) || !resource.verbs?.includes('list')) continue;
					seen.add(resource.resource);
					kinds.push(client.registry.resource(group, version, resource.resource) ?? asKind(group, version, resource));
				}
			}
		}
	}
	return kinds;
}

function asKind(group: string, version: string, resource: DiscoveredResource): Kind {
	const kind = resource.responseKind?.kind ?? resource.resource;
	return makeKind<Dynamic>({
		group,
		version,
		kind,
		plural: resource.resource,
		singular: resource.singularResource || kind.toLowerCase(),
		shortNames: resource.shortNames ?? [],
		categories: resource.categories ?? [],
		namespaced: resource.scope !== 'Cluster',
		schema: '',
	}) as unknown as Kind;
}
