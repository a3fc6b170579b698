/**
 * What the API server says it serves: /version, /api, /apis, the resource lists of the group versions, and aggregated
 * discovery. Built from the registry. Source: Kubernetes API reference, APIGroup, APIResourceList, APIGroupDiscoveryList.
 */
import { createHash } from 'node:crypto';
import { apiVersionOf, type Kind } from '../kinds/kind.ts';
import type { Registry } from '../kinds/registry.ts';

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

/** Media types with which a client asks for aggregated discovery, newest first. */
export const aggregatedDiscovery = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';
export const aggregatedDiscoveryBeta = 'application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList';

/** Verbs of a stored kind, in the order in which Kubernetes lists them. */
const verbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'] as const;

interface GroupVersionKind {
	readonly group: string;
	readonly version: string;
	readonly kind: string;
}

interface Subresource {
	readonly name: string;
	readonly kind: GroupVersionKind;
	readonly verbs: readonly string[];
}

interface Group {
	readonly name: string;
	/** By preference: newest stable first. */
	readonly versions: readonly { readonly version: string; readonly kinds: readonly Kind[] }[];
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
	const kinds = groupsOf(registry)
		.find(({ name }) => name === group)
		?.versions.find((candidate) => candidate.version === version)?.kinds;
	if (!kinds) return undefined;
	return {
		kind: 'APIResourceList',
		apiVersion: 'v1',
		groupVersion: apiVersionOf({ group, version }),
		resources: kinds.flatMap((kind) => [
			resourceOf(kind),
			...subresourcesOf(kind).map((sub) => subresourceOf(kind, sub)),
		]),
	};
}

function resourceOf(kind: Kind) {
	return {
		name: kind.plural,
		singularName: kind.singular,
		namespaced: kind.namespaced,
		kind: kind.kind,
		verbs,
		...(kind.shortNames.length > 0 && { shortNames: kind.shortNames }),
		...(kind.categories.length > 0 && { categories: kind.categories }),
		storageVersionHash: storageVersionHash(kind),
	};
}

function subresourceOf(kind: Kind, sub: Subresource) {
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
			versions: versions.map(({ version, kinds }) => ({
				version,
				resources: kinds.map(discoveryOf),
				freshness: 'Current',
			})),
		})),
	};
}

function discoveryOf(kind: Kind) {
	const subresources = subresourcesOf(kind);
	return {
		resource: kind.plural,
		responseKind: { group: kind.group, version: kind.version, kind: kind.kind },
		scope: kind.namespaced ? 'Namespaced' : 'Cluster',
		singularResource: kind.singular,
		verbs,
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

const core = (kind: string): GroupVersionKind => ({ group: '', version: 'v1', kind });
const proxyVerbs = ['create', 'delete', 'get', 'patch', 'update'];

/** Actions by name: what kind their request or answer has, and how they are called. */
const actions: Readonly<Record<string, (kind: Kind) => Omit<Subresource, 'name'>>> = {
	attach: () => ({ kind: core('PodAttachOptions'), verbs: ['create', 'get'] }),
	binding: () => ({ kind: core('Binding'), verbs: ['create'] }),
	ephemeralcontainers: () => ({ kind: core('Pod'), verbs: ['get', 'patch', 'update'] }),
	eviction: () => ({ kind: { group: 'policy', version: 'v1', kind: 'Eviction' }, verbs: ['create'] }),
	exec: () => ({ kind: core('PodExecOptions'), verbs: ['create', 'get'] }),
	log: () => ({ kind: core('Pod'), verbs: ['get'] }),
	portforward: () => ({ kind: core('PodPortForwardOptions'), verbs: ['create', 'get'] }),
	proxy: (kind) => ({ kind: core(`${kind.kind}ProxyOptions`), verbs: proxyVerbs }),
	resize: () => ({ kind: core('Pod'), verbs: ['get', 'patch', 'update'] }),
	token: () => ({ kind: { group: 'authentication.k8s.io', version: 'v1', kind: 'TokenRequest' }, verbs: ['create'] }),
};

/** Every subresource of a kind with its verbs, by name. */
export function subresourcesOf(kind: Kind): Subresource[] {
	const self = { group: kind.group, version: kind.version, kind: kind.kind };
	const { status, scale, actions: names = [] } = kind.subresources;
	const found: Subresource[] = names.map((name) => ({
		name,
		...(actions[name]?.(kind) ?? { kind: self, verbs: ['create'] }),
	}));
	const changeable = ['get', 'patch', 'update'];
	if (status) found.push({ name: 'status', kind: self, verbs: changeable });
	if (scale)
		found.push({ name: 'scale', kind: { group: 'autoscaling', version: 'v1', kind: 'Scale' }, verbs: changeable });
	return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The groups of the registry in the order of registration, core first. */
export function groupsOf(registry: Registry): Group[] {
	const groups = new Map<string, Map<string, Kind[]>>([['', new Map()]]);
	for (const kind of registry.all()) {
		const versions = groups.get(kind.group) ?? new Map<string, Kind[]>();
		groups.set(kind.group, versions);
		versions.set(kind.version, [...(versions.get(kind.version) ?? []), kind]);
	}
	return [...groups]
		.filter(([, versions]) => versions.size > 0)
		.map(([name, versions]) => ({
			name,
			versions: [...versions]
				.map(([version, kinds]) => ({ version, kinds: kinds.sort((a, b) => (a.plural < b.plural ? -1 : 1)) }))
				.sort((a, b) => compareVersions(a.version, b.version)),
		}));
}

const coreGroup = (registry: Registry) => groupsOf(registry).find(({ name }) => name === '');
const namedGroups = (registry: Registry) => groupsOf(registry).filter(({ name }) => name !== '');

/**
 * Orders versions by preference: v2 before v1 before v1beta2 before v1beta1 before v1alpha1 before all other names.
 * Source: Kubernetes documentation, "Versions in CustomResourceDefinitions", version priority.
 */
export function compareVersions(a: string, b: string): number {
	const [x, y] = [rankOf(a), rankOf(b)];
	for (const [i, rank] of x.entries()) {
		const other = y[i] ?? 0;
		if (rank !== other) return other - rank;
	}
	return a < b ? -1 : a > b ? 1 : 0;
}

function rankOf(version: string): number[] {
	const match = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version);
	if (!match) return [0, 0, 0];
	const stability = match[2] === 'alpha' ? 1 : match[2] === 'beta' ? 2 : 3;
	return [stability, Number(match[1]), Number(match[3] ?? 0)];
}
