/** patch: JSON, merge and strategic merge patches, and server-side apply, which creates what does not exist. */
import { apiVersionOf, type Kind, storageOf } from '../../kinds/kind.ts';
import type { Dynamic, KubeObject } from '../../kinds/object.ts';
import { ApiError, badRequest, fieldError, invalid, notFound } from '../../kinds/status.ts';
import type { Caller, Patch, Stored, Target, WriteOptions, Written } from '../api.ts';
import { copy, isObject } from '../json.ts';
import { limits } from '../limits.ts';
import { applyJsonPatch, applyMergePatch, applyStrategicMergePatch, serverSideApply } from '../patch/index.ts';
import type { StoredObject } from '../storage.ts';
import { latest, placeOf, readStored } from './commit.ts';
import { type Context, timestamp } from './context.ts';
import { createNamed } from './create.ts';
import { checked, checkName, placeInNamespace } from './decode.ts';
import { managerOf } from './ownership.ts';
import { untyped, written } from './read.ts';
import { appliedScale, readScaleOf, scaleProposal } from './scale.ts';
import { change, checkIdentity, mayCreate, type Proposal } from './update.ts';
import { served, versionsOf } from './versions.ts';

export async function patch<T extends KubeObject>(
	context: Context,
	target: Target<T>,
	patch: Patch,
	options: WriteOptions,
	caller: Caller,
): Promise<Written<T>> {
	const kind = untyped(target.kind);
	if (patch.type === 'apply') {
		const { stored, created } = await apply(context, kind, target, patch, options, caller);
		return written(served(target.kind, stored), created);
	}
	const { stored } = await change(context, target, options, caller, 'PatchOptions', async (current) => {
		// What lies under the key of a kind has its shape, and so has a Scale.
		const live = served(kind, current).object as Dynamic;
		if (target.subresource === 'scale') {
			const scale = readScaleOf(kind, current) as Dynamic;
			return scaleProposal(kind, current, copy(patched(context, undefined, scale, patch)), target);
		}
		const result = patched(context, kind, live, patch);
		if (result === live) return 'unchanged';
		const object = checkedPatch(context, kind, live, result, options);
		place(kind, object, target);
		return { next: object };
	});
	return written(served(target.kind, stored), false);
}

/** What a patch made of an object, as the request's own. The record of owners, where it is as it was, is what is stored. */
function checkedPatch(context: Context, kind: Kind, live: Dynamic, result: Dynamic, options: WriteOptions): Dynamic {
	const { managedFields } = live.metadata;
	if (!managedFields || result.metadata?.managedFields !== managedFields)
		return checked(context, kind, copy(result), options);
	const others = { ...result, metadata: { ...result.metadata, managedFields: undefined } };
	const object = checked(context, kind, copy(others), options);
	object.metadata.managedFields = managedFields;
	return object;
}

/** The object with the patch applied; it shares parts of both. Without a kind no list merges. */
function patched(
	context: Context,
	kind: Kind | undefined,
	object: Dynamic,
	patch: Exclude<Patch, { type: 'apply' }>,
): Dynamic {
	const { schemas } = context.registry;
	switch (patch.type) {
		case 'json':
			return applyJsonPatch(object, patch.body);
		case 'merge':
			return applyMergePatch(object, patch.body);
		case 'strategic':
			return applyStrategicMergePatch(object, patch.body, kind && schemas[kind.schema], schemas);
	}
}

/**
 * What an apply of the status decides: what a write of the status may not change is not applied by it, so that nobody comes to
 * own it. Source: ResetFieldsStrategy of Kubernetes' registry.
 */
function ofStatus(kind: Kind, applied: Dynamic): Dynamic {
	const { apiVersion, metadata } = applied;
	const decided = copy(applied);
	kind.prepareStatus(decided, {
		apiVersion,
		kind: kind.kind,
		metadata: { name: metadata.name, namespace: metadata.namespace },
	});
	return decided;
}

/** A patch may not move an object. */
function place(kind: Kind, object: Dynamic, target: Pick<Target, 'name' | 'namespace'>): void {
	if (object.apiVersion !== apiVersionOf(kind) || object.kind !== kind.kind)
		throw badRequest(
			`the patch changes the object to ${object.apiVersion} ${object.kind}; apiVersion and kind must stay ${apiVersionOf(kind)} ${kind.kind}`,
		);
	placeInNamespace(kind, object, target.namespace);
	checkName(object, target.name);
}

async function apply(
	context: Context,
	kind: Kind,
	target: Target,
	patch: Extract<Patch, { type: 'apply' }>,
	options: WriteOptions,
	caller: Caller,
): Promise<{ readonly stored: Stored; readonly created: boolean }> {
	if (!options.fieldManager)
		throw invalid('meta.k8s.io', 'PatchOptions', '', [
			fieldError.required('fieldManager', 'is required for apply patch'),
		]);
	const manager = managerOf(options, caller, 'PatchOptions');
	const { body } = patch;
	if (!isObject(body)) throw badRequest('error decoding YAML: the applied configuration must be an object');
	if (!body.apiVersion || !body.kind) throw badRequest('apiVersion and kind must be set in an applied configuration');
	const config = target.subresource === 'scale' ? appliedScale(kind, body, target) : copy(body);
	const applied = checked(context, kind, config, options, true);
	place(kind, applied, target);
	if (applied.metadata.managedFields?.length) throw badRequest('metadata.managedFields must be nil');
	if (applied.metadata.uid === '') delete applied.metadata.uid;

	const decided = target.subresource === 'status' ? ofStatus(kind, applied) : applied;
	const { schemas } = context.registry;
	const merge = (live: StoredObject | undefined) =>
		serverSideApply({
			live: live && (served(kind, live).object as Dynamic),
			applied: decided,
			schema: schemas[kind.schema],
			schemas,
			manager,
			force: patch.force === true,
			subresource: target.subresource,
			statusSubresource: kind.subresources.status === true,
			versions: versionsOf(context.registry, kind),
			now: timestamp(context.now()),
		});

	const where = placeOf(storageOf(kind), target);
	for (let attempt = 0; ; attempt++) {
		// After a lost race the cache may not know yet who won it.
		const exists = (attempt === 0 && latest(context, where)) || (await readStored(context, where));
		try {
			if (exists) {
				const { stored } = await change(
					context,
					target,
					options,
					caller,
					'PatchOptions',
					async (current): Promise<Proposal | 'unchanged'> => {
						checkIdentity(kind, current, applied.metadata);
						const { object, changed } = merge(current);
						if (!changed) return 'unchanged';
						const next = copy(object) as Dynamic;
						return { next, applied: next.metadata.managedFields ?? [] };
					},
				);
				return { stored, created: false };
			}
			if (target.subresource) throw notFound(kind, target.name);
			if (applied.metadata.uid) throw notFound(kind, target.name);
			if (applied.metadata.resourceVersion) throw notFound(kind, target.name);
			await mayCreate(context, { ...target, kind }, caller);
			const next = copy(merge(undefined).object) as Dynamic;
			const stored = await createNamed(context, kind, next, options, caller, next.metadata.managedFields ?? []);
			return { stored, created: true };
		} catch (cause) {
			// Another one created or removed it in between.
			const raced = cause instanceof ApiError && cause.reason === (exists ? 'NotFound' : 'AlreadyExists');
			if (!raced || attempt >= limits.conflicts || target.subresource) throw cause;
		}
	}
}
