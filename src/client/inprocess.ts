/** The client inside the server's own process: each verb is one call of the API, and objects are the API's own, frozen. */
import type { Api, Caller } from '../api/api.ts';
import type { Kind } from '../kinds/kind.ts';
import type { KubeObject } from '../kinds/object.ts';
import type { Client, Name, WatchEvent } from './client.ts';

/** A client that acts as `caller`; its name is the caller's user agent. */
export function inProcess(api: Api, caller: Caller): Client {
	const of = <T extends KubeObject>(kind: Kind<T>, object: T) => ({
		kind,
		name: object.metadata.name,
		namespace: object.metadata.namespace,
	});
	const managed = <O extends { fieldManager?: string }>(options: O) => ({
		...options,
		fieldManager: options.fieldManager ?? fieldManagerOf(caller.userAgent),
	});
	return {
		name: caller.userAgent,
		registry: api.registry,
		as: (name) => inProcess(api, { ...caller, userAgent: name }),
		async get(kind, { name, namespace }, options = {}) {
			return (await api.get({ kind, name, namespace }, options, caller)).object;
		},
		async list(kind, { namespace, ...options } = {}) {
			const listed = await api.list({ kind, namespace }, options, caller);
			return {
				items: listed.items.map((stored) => stored.object),
				resourceVersion: listed.resourceVersion,
				continue: listed.continue,
			};
		},
		async *watch(kind, { namespace, ...options }) {
			for await (const batch of api.watch({ kind, namespace }, { ...options, allowWatchBookmarks: true }, caller)) {
				yield batch.map(
					(event): WatchEvent<NonNullable<(typeof kind)['object']>> =>
						event.type === 'BOOKMARK'
							? { type: 'BOOKMARK', resourceVersion: event.resourceVersion }
							: { type: event.type, object: event.stored.object },
				);
			}
		},
		async create(kind, object, { subresource, ...options } = {}) {
			const target = { ...of(kind, object), subresource };
			return (await api.create(target, object, managed(options), caller)).object;
		},
		async update(kind, object, { subresource, ...options } = {}) {
			return (await api.update({ ...of(kind, object), subresource }, object, managed(options), caller)).object;
		},
		async patch(kind, { name, namespace }, patch, { subresource, ...options } = {}) {
			return (await api.patch({ kind, name, namespace, subresource }, patch, managed(options), caller)).object;
		},
		async delete(kind, { name, namespace }, options = {}) {
			await api.delete({ kind, name, namespace }, options, caller);
		},
		async deleteCollection(kind, { namespace, ...options }, how = {}) {
			await api.deleteCollection({ kind, namespace }, options, how, caller);
		},
		async bind(pod, node) {
			const kind = podKind(api);
			const target = { kind, ...named(pod), subresource: 'binding' as const };
			await api.create(target, binding(pod, node), managed({}), caller);
		},
	};
}

/** The field manager of a client that does not say another: its user agent without the version. */
export const fieldManagerOf = (userAgent: string) => userAgent.split('/', 1)[0] ?? userAgent;

const named = ({ name, namespace }: Name) => ({ name, namespace });

function podKind(api: Api): Kind {
	const kind = api.registry.of('v1', 'Pod');
	if (!kind) throw new Error('the registry of the API has no kind Pod: it was created without the core kinds');
	return kind;
}

/** The body of POST pods/NAME/binding. */
export function binding({ name, namespace, uid }: Parameters<Client['bind']>[0], node: string) {
	return {
		apiVersion: 'v1',
		kind: 'Binding',
		metadata: { name, namespace, uid },
		target: { apiVersion: 'v1', kind: 'Node', name: node },
	};
}
