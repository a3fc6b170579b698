/** The REST operations of a registry's kinds, as plain data that both versions of OpenAPI are written from. */
import { apiVersionOf, type Kind } from '../../kinds/kind.ts';
import { subresourcesOf } from '../discovery.ts';

export interface Path {
	/** `/apis/apps/v1/namespaces/{namespace}/deployments/{name}`. */
	readonly path: string;
	readonly operations: readonly Operation[];
}

export interface Operation {
	readonly method: 'get' | 'post' | 'put' | 'patch' | 'delete';
	/** What it does to the kind, by the name that x-kubernetes-action has for it. */
	readonly action: 'get' | 'list' | 'post' | 'put' | 'patch' | 'delete' | 'deletecollection' | 'connect';
	readonly id: string;
	readonly description: string;
	/** The kind that it is about: for a subresource that of its body. */
	readonly about: { readonly group: string; readonly version: string; readonly kind: string };
	readonly query: readonly Query[];
	/** Names of schemas. */
	readonly body?: string;
	readonly answer?: string;
	/** Media types of a patch. */
	readonly patches?: readonly string[];
}

export interface Query {
	readonly name: string;
	readonly type: 'string' | 'boolean' | 'integer';
	readonly description: string;
}

export const pathParameters: Readonly<Record<string, string>> = {
	name: 'name of the object',
	namespace: 'namespace of the object',
};

const query = (name: string, type: Query['type'], description: string): Query => ({ name, type, description });

const dryRun = query('dryRun', 'string', '"All": every stage of the request is processed, and nothing is stored.');
const fieldManager = query('fieldManager', 'string', 'Who makes the change; owns the fields that it sets.');
const fieldValidation = query(
	'fieldValidation',
	'string',
	'What happens to unknown and duplicate fields: Ignore drops them, Warn (the default) drops them with a warning, Strict refuses the request.',
);
const force = query('force', 'boolean', 'Take the fields that other managers own. Only for an apply.');
const writes = [dryRun, fieldManager, fieldValidation];
const selectors = [
	query('labelSelector', 'string', 'Only objects whose labels match.'),
	query('fieldSelector', 'string', 'Only objects whose fields match.'),
];
const lists = [
	...selectors,
	query('limit', 'integer', 'At most so many items; the answer has a continue token when there are more.'),
	query('continue', 'string', 'The token of the page before.'),
	query('resourceVersion', 'string', 'How fresh the answer must be, or where a watch starts.'),
	query('resourceVersionMatch', 'string', 'How resourceVersion applies to a list: Exact or NotOlderThan.'),
	query('watch', 'boolean', 'Send changes as they happen instead of a list.'),
	query('allowWatchBookmarks', 'boolean', 'Send bookmarks of the resourceVersion that a watch has reached.'),
	query('sendInitialEvents', 'boolean', 'Begin a watch with the objects that there are.'),
	query('timeoutSeconds', 'integer', 'How long a list or watch may last.'),
];
const deletes = [
	dryRun,
	query('gracePeriodSeconds', 'integer', 'Seconds the object has to end; 0 deletes at once.'),
	query('propagationPolicy', 'string', 'What becomes of dependents: Background, Foreground or Orphan.'),
	query('orphanDependents', 'boolean', 'Deprecated: use propagationPolicy.'),
];

const patchTypes = ['application/json-patch+json', 'application/merge-patch+json'];
const strategicType = 'application/strategic-merge-patch+json';
const applyType = 'application/apply-patch+yaml';

export const names = {
	status: 'io.k8s.apimachinery.pkg.apis.meta.v1.Status',
	deleteOptions: 'io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions',
	patch: 'io.k8s.apimachinery.pkg.apis.meta.v1.Patch',
	listMeta: 'io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta',
	objectMeta: 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta',
} as const;

/** Schemas of the bodies of subresources that are of another kind than their resource. */
const bodies: Readonly<Record<string, string>> = {
	Binding: 'io.k8s.api.core.v1.Binding',
	Eviction: 'io.k8s.api.policy.v1.Eviction',
	Scale: 'io.k8s.api.autoscaling.v1.Scale',
	TokenRequest: 'io.k8s.api.authentication.v1.TokenRequest',
};

/** Whether a kind is built in, and so takes strategic merge patches. Custom resources do not. */
const isBuiltIn = (kind: Kind) => kind.schema.startsWith('io.k8s.');

/** The name of the schema of a list of a kind. */
export const listSchema = (kind: Kind): string => `${kind.schema}List`;

/** `/api/v1` or `/apis/GROUP/VERSION`. */
export const root = (kind: Pick<Kind, 'group' | 'version'>): string =>
	`/${kind.group ? 'apis' : 'api'}/${apiVersionOf(kind)}`;

/** Every path of a kind with its operations. */
export function pathsOf(kind: Kind): Path[] {
	const scope = kind.namespaced ? '/namespaces/{namespace}' : '';
	const collection = `${root(kind)}${scope}/${kind.plural}`;
	const one = `${collection}/{name}`;
	const list = listOf(kind, kind.namespaced ? 'Namespaced' : '');
	const paths: Path[] = [
		{
			path: collection,
			operations: [
				list,
				...(kind.computed ? [] : [createOf(kind)]),
				...(kind.computed || !kind.deleteCollection ? [] : [deleteCollectionOf(kind)]),
			],
		},
		{ path: one, operations: [readOf(kind), ...(kind.computed ? [] : [...changesOf(kind), deleteOf(kind)])] },
		...subresourcesOf(kind).map((sub) => ({ path: `${one}/${sub.name}`, operations: subresourceOf(kind, sub) })),
	];
	if (kind.namespaced)
		paths.push({ path: `${root(kind)}/${kind.plural}`, operations: [listOf(kind, '', 'ForAllNamespaces')] });
	return paths;
}

function idOf(verb: string, kind: Kind, what: string): string {
	const group = kind.group.replace(/\.k8s\.io$/, '').replace(/\.(\w)/g, (_, letter: string) => letter.toUpperCase());
	return verb + capital(group || 'core') + capital(kind.version) + what;
}

const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);
const scoped = (kind: Kind) => (kind.namespaced ? 'Namespaced' : '') + kind.kind;
const self = ({ group, version, kind }: Kind) => ({ group, version, kind });

const listOf = (kind: Kind, scope: string, suffix = ''): Operation => ({
	method: 'get',
	action: 'list',
	id: idOf('list', kind, scope + kind.kind + suffix),
	description: `list ${kind.computed ? '' : 'or watch '}objects of kind ${kind.kind}`,
	about: self(kind),
	query: kind.computed ? selectors : lists,
	answer: listSchema(kind),
});

const createOf = (kind: Kind): Operation => ({
	method: 'post',
	action: 'post',
	id: idOf('create', kind, scoped(kind)),
	description: `create a ${kind.kind}`,
	about: self(kind),
	query: writes,
	body: kind.schema,
	answer: kind.schema,
});

const deleteCollectionOf = (kind: Kind): Operation => ({
	method: 'delete',
	action: 'deletecollection',
	id: idOf('delete', kind, `Collection${scoped(kind)}`),
	description: `delete a collection of ${kind.kind}`,
	about: self(kind),
	query: [...deletes, ...lists.filter(({ name }) => !name.includes('atch') || name === 'resourceVersionMatch')],
	body: names.deleteOptions,
	answer: names.status,
});

const readOf = (kind: Kind): Operation => ({
	method: 'get',
	action: 'get',
	id: idOf('read', kind, scoped(kind)),
	description: `read the specified ${kind.kind}`,
	about: self(kind),
	query: [],
	answer: kind.schema,
});

const deleteOf = (kind: Kind): Operation => ({
	method: 'delete',
	action: 'delete',
	id: idOf('delete', kind, scoped(kind)),
	description: `delete a ${kind.kind}`,
	about: self(kind),
	query: deletes,
	body: names.deleteOptions,
	answer: names.status,
});

function changesOf(kind: Kind, suffix = '', about = self(kind), schema = kind.schema): Operation[] {
	const what = suffix ? `${suffix.toLowerCase()} of the specified` : 'the specified';
	return [
		{
			method: 'put',
			action: 'put',
			id: idOf('replace', kind, scoped(kind) + suffix),
			description: `replace ${what} ${kind.kind}`,
			about,
			query: writes,
			body: schema,
			answer: schema,
		},
		{
			method: 'patch',
			action: 'patch',
			id: idOf('patch', kind, scoped(kind) + suffix),
			description: `partially update ${what} ${kind.kind}`,
			about,
			query: [...writes, force],
			body: names.patch,
			answer: schema,
			patches: [...patchTypes, ...(isBuiltIn(kind) ? [strategicType] : []), applyType],
		},
	];
}

function subresourceOf(kind: Kind, sub: ReturnType<typeof subresourcesOf>[number]): Operation[] {
	const suffix = capital(sub.name);
	const own = sub.kind.kind === kind.kind;
	const schema = own ? kind.schema : bodies[sub.kind.kind];
	const read: Operation = {
		...readOf(kind),
		id: idOf('read', kind, scoped(kind) + suffix),
		description: `read ${sub.name} of the specified ${kind.kind}`,
		about: sub.kind,
		answer: sub.name === 'log' ? undefined : schema,
	};
	if (sub.verbs.includes('update') && schema) return [read, ...changesOf(kind, suffix, sub.kind, schema)];
	if (!sub.verbs.includes('create')) return [read];
	if (!schema) {
		// Exec, attach, port-forward and proxy are streams: they are connected to, not read.
		const connect = (method: 'get' | 'post'): Operation => ({
			method,
			action: 'connect',
			id: idOf(`connect${capital(method)}`, kind, scoped(kind) + suffix),
			description: `connect ${method.toUpperCase()} requests to ${sub.name} of ${kind.kind}`,
			about: sub.kind,
			query: [],
		});
		return [connect('get'), connect('post')];
	}
	return [
		{
			...createOf(kind),
			id: idOf('create', kind, scoped(kind) + suffix),
			description: `create ${sub.name} of a ${kind.kind}`,
			about: sub.kind,
			body: schema,
			answer: schema,
		},
	];
}
