/**
 * What the API server says it serves: /version, /api, /apis, the resource lists of the group versions, and aggregated
 * discovery. Built from the registry. Source: Kubernetes API reference, APIGroup, APIResourceList, APIGroupDiscoveryList.
 */
import { createHash } from 'node:crypto';
import { apiVersionOf, type Kind, storageOf } from '../kinds/kind.ts';
import type { Registry } from '../kinds/registry.ts';
import { reviews } from './auth/reviews.ts';
import { type Document, serialize } from './document.ts';
import { type GroupVersionKind, subresourcesOf as namesOf, subresourceOf } from './subresources.ts';
import { compareVersions } from './version-order.ts';

/** The Kubernetes version whose API this is. */
export const serverVersion = {
	major: '1',
	minor: '32',
	gitVersion: 'v1.32.0+driftless',
	gitCommit: '',
	gitTreeState: 'clean',
	buildDate: '1970-01-01T00:00:00Z',
	goVersion: `node${process.versions.node}`,
	compiler: 'node',
	platform: `${process.platform}/${process.arch === 'x64' ? 'amd64' : process.arch}`,
} as const;

/** The media type with which a client asks for aggregated discovery. */
export const aggregatedDiscovery = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';

/** What is served under a group version: a kind, or a review, which is answered only. */
interface Served extends GroupVersionKind {
	readonly plural: string;
	readonly singular: string;
	readonly namespaced: boolean;
	readonly shortNames: readonly string[];
	readonly categories: readonly string[];
	readonly verbs: readonly string[];
	readonly subresources: readonly Subresource[];
	/** Whose objects are stored; absent for reviews, and for kinds whose objects are computed. */
	readonly storage?: GroupVersionKind;
}

/** Verbs of a stored kind, in the order in which Kubernetes lists them. */
const verbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'] as const;

const computedVerbs = ['get', 'list'] as const;

const servedKind = (kind: Kind): Served => ({
	...kind,
	verbs: kind.computed
		? computedVerbs
		: kind.deleteCollection
			? verbs
			: verbs.filter((verb) => verb !== 'deletecollection'),
	subresources: subresourcesOf(kind),
	...(!kind.computed && { storage: storageOf(kind) }),
});

const servedReviews: readonly Served[] = reviews.map((review) => ({
	...review,
	singular: review.kind.toLowerCase(),
	shortNames: [],
	categories: [],
	verbs: ['create'],
	subresources: [],
}));

interface Subresource {
	readonly name: string;
	readonly kind: GroupVersionKind;
	readonly verbs: readonly string[];
}

interface Group {
	readonly name: string;
	/** By preference: newest stable first. */
	readonly versions: readonly { readonly version: string; readonly served: readonly Served[] }[];
}

/** GET /api: the versions of the core group. `address` is the server's host and port. */
export function coreVersions(registry: Registry, address: string) {
	return {
		kind: 'APIVersions',
		versions: coreGroup(registry)?.versions.map(({ version }) => version) ?? [],
		serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: address }],
	};
}

/** GET /apis: every named group. */
export function groupList(registry: Registry) {
	return { kind: 'APIGroupList', apiVersion: 'v1', groups: namedGroups(registry).map(groupOf) };
}

/** GET /apis/GROUP; undefined where there is no such group. */
export function group(registry: Registry, name: string) {
	const found = namedGroups(registry).find((candidate) => candidate.name === name);
	return found && { kind: 'APIGroup', apiVersion: 'v1', ...groupOf(found) };
}

function groupOf({ name, versions }: Group) {
	const entries = versions.map(({ version }) => ({ groupVersion: `${name}/${version}`, version }));
	return { name, versions: entries, preferredVersion: entries[0] };
}

/** GET /api/VERSION (group '') and /apis/GROUP/VERSION; undefined where nothing is served there. */
export function resourceList(registry: Registry, group: string, version: string) {
	const served = groupsOf(registry)
		.find(({ name }) => name === group)
		?.versions.find((candidate) => candidate.version === version)?.served;
	if (!served) return undefined;
	return {
		kind: 'APIResourceList',
		apiVersion: 'v1',
		groupVersion: apiVersionOf({ group, version }),
		resources: served.flatMap((each) => [
			resourceOf(each),
			...each.subresources.map((sub) => describeSubresource(each, sub)),
		]),
	};
}

function resourceOf(kind: Served) {
	return {
		name: kind.plural,
		singularName: kind.singular,
		namespaced: kind.namespaced,
		kind: kind.kind,
		verbs: kind.verbs,
		...(kind.shortNames.length > 0 && { shortNames: kind.shortNames }),
		...(kind.categories.length > 0 && { categories: kind.categories }),
		...(kind.storage && { storageVersionHash: storageVersionHash(kind.storage) }),
	};
}

function describeSubresource(kind: Served, sub: Subresource) {
	const own = sub.kind.group === kind.group && sub.kind.version === kind.version;
	return {
		name: `${kind.plural}/${sub.name}`,
		singularName: '',
		namespaced: kind.namespaced,
		...(!own && { group: sub.kind.group, version: sub.kind.version }),
		kind: sub.kind.kind,
		verbs: sub.verbs,
	};
}

/** Tells clients whether the stored form of a kind has changed. */
export function storageVersionHash({ group, version, kind }: GroupVersionKind): string {
	return createHash('sha256').update(`${group}/${version}/${kind}`).digest().subarray(0, 8).toString('base64');
}

const kept = new WeakMap<Registry, { readonly generation: number; readonly documents: Map<string, Document> }>();

/** An aggregated document as it goes over the wire, made once for each state of the registry. */
export function aggregatedDocument(registry: Registry, which: 'core' | 'named', version: 'v2' | 'v2beta1'): Document {
	const { generation } = registry;
	let known = kept.get(registry);
	if (known?.generation !== generation) {
		known = { generation, documents: new Map() };
		kept.set(registry, known);
	}
	const name = `${which} ${version}`;
	const document = known.documents.get(name) ?? serialize(aggregated(registry, which, version));
	known.documents.set(name, document);
	return document;
}

/**
 * GET /api (`core`) and /apis in one document each, for clients that ask for aggregated discovery. `version` is that of the
 * document itself.
 */
export function aggregated(registry: Registry, which: 'core' | 'named', version: 'v2' | 'v2beta1' = 'v2') {
	const core = coreGroup(registry);
	const groups = which === 'named' ? namedGroups(registry) : core ? [core] : [];
	return {
		kind: 'APIGroupDiscoveryList',
		apiVersion: `apidiscovery.k8s.io/${version}`,
		metadata: {},
		items: groups.map(({ name, versions }) => ({
			metadata: { ...(name && { name }), creationTimestamp: null },
			versions: versions.map(({ version, served }) => ({
				version,
				resources: served.map(discoveryOf),
				freshness: 'Current',
			})),
		})),
	};
}

function discoveryOf(kind: Served) {
	const { subresources } = kind;
	return {
		resource: kind.plural,
		responseKind: { group: kind.group, version: kind.version, kind: kind.kind },
		scope: kind.namespaced ? 'Namespaced' : 'Cluster',
		singularResource: kind.singular,
		verbs: kind.verbs,
		...(kind.shortNames.length > 0 && { shortNames: kind.shortNames }),
		...(kind.categories.length > 0 && { categories: kind.categories }),
		...(subresources.length > 0 && {
			subresources: subresources.map((sub) => ({
				subresource: sub.name,
				responseKind: sub.kind,
				verbs: sub.verbs,
			})),
		}),
	};
}

/** Every subresource of a kind with its verbs, by name. */
export function subresourcesOf(kind: Kind): Subresource[] {
	const { group, version, kind: name } = kind;
	return namesOf(kind).flatMap((each) => {
		const found = subresourceOf(kind, each);
		return found ? [{ name: each, kind: found.kind({ group, version, kind: name }), verbs: found.verbs }] : [];
	});
}

/** Every group that is served: those of the registry in the order of registration, core first, then those of reviews. */
export function groupsOf(registry: Registry): Group[] {
	const groups = new Map<string, Map<string, Served[]>>([['', new Map()]]);
	for (const each of [...Array.from(registry.all(), servedKind), ...servedReviews]) {
		const versions = groups.get(each.group) ?? new Map<string, Served[]>();
		groups.set(each.group, versions);
		versions.set(each.version, [...(versions.get(each.version) ?? []), each]);
	}
	return [...groups]
		.filter(([, versions]) => versions.size > 0)
		.map(([name, versions]) => ({
			name,
			versions: [...versions]
				.map(([version, served]) => ({ version, served: served.sort((a, b) => (a.plural < b.plural ? -1 : 1)) }))
				.sort((a, b) => compareVersions(a.version, b.version)),
		}));
}

const coreGroup = (registry: Registry) => groupsOf(registry).find(({ name }) => name === '');
const namedGroups = (registry: Registry) => groupsOf(registry).filter(({ name }) => name !== '');
