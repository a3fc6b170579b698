/** Deleting objects, and waiting until they are gone. */
import type { DeleteOptions, HttpClient } from '../../client/index.ts';
import { pathOf } from '../../client/index.ts';
import { ApiError, type Kind, type KubeObject } from '../../kinds/index.ts';
import { UserError } from '../user-error.ts';
import { nameOf } from './print.ts';
import { request } from './request.ts';
import { isNotFound } from './session.ts';

/** An object to delete. */
export interface Doomed {
	readonly kind: Kind;
	readonly name: string;
	readonly namespace?: string;
}

/** An object whose deletion the server has taken. */
export interface Deleted extends Doomed {
	/** Another object of that name is not the one that is waited for. */
	readonly uid: string | undefined;
	/** The server holds it no more. */
	readonly gone: boolean;
}

/** Throws ApiError. The answer is the object while something holds it (a grace period, a finalizer), or the details of what is gone. */
export async function deleteOne(
	client: HttpClient,
	doomed: Doomed,
	{ dryRun, ...options }: DeleteOptions,
): Promise<Deleted> {
	const body = { apiVersion: 'v1', kind: 'DeleteOptions', ...options, ...(dryRun && { dryRun: ['All'] }) };
	const answer = await request(client, { method: 'DELETE', path: pathOf(doomed.kind, doomed), body });
	const { kind, details, metadata } = answer as KubeObject & { readonly details?: { readonly uid?: string } };
	if (kind === 'Status') return { ...doomed, uid: details?.uid, gone: true };
	return { ...doomed, uid: metadata.uid, gone: false };
}

/** Settles when the object is gone, or another of its name is there. Throws a UserError when the signal aborts first. */
export async function untilGone(client: HttpClient, deleted: Deleted, signal: AbortSignal): Promise<void> {
	const { kind, namespace, name, uid } = deleted;
	if (deleted.gone) return;
	const fieldSelector = `metadata.name=${name}`;
	const isIt = (object: KubeObject) => uid === undefined || object.metadata.uid === uid;
	while (!signal.aborted) {
		const { items, resourceVersion } = await client.list(kind, { namespace, fieldSelector });
		if (!items.some(isIt)) return;
		try {
			for await (const events of client.watch(kind, { namespace, fieldSelector, resourceVersion, signal }))
				for (const event of events) if (event.type === 'DELETED' && isIt(event.object)) return;
		} catch (error) {
			// Older than the server remembers: what matters is whether it is there now.
			if (!(error instanceof ApiError && error.code === 410)) throw error;
		}
	}
	throw new UserError(await reasonToWait(client, deleted), 1);
}

/** Why an object is still there, from itself. */
async function reasonToWait(client: HttpClient, { kind, name, namespace }: Deleted): Promise<string> {
	const what = nameOf(kind, name);
	try {
		const { finalizers = [], deletionGracePeriodSeconds: grace } = (await client.get(kind, { name, namespace }))
			.metadata;
		if (finalizers.length > 0)
			return `${what} is not gone in time: it waits for the finalizers ${finalizers.join(', ')}`;
		return `${what} is not gone in time${grace ? `: it has ${grace} s to end` : ''}; it is being deleted all the same`;
	} catch (error) {
		if (isNotFound(error)) return `${what} was gone just after the time was over`;
		throw error;
	}
}
