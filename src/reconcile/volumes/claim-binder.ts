/**
 * Brings claims and volumes together: a claim gets a volume that serves it, or says why it waits for one. A binding is four writes (the
 * volume names the claim, the claim names the volume, and both statuses); whoever finds it half done does the rest.
 * Source: Kubernetes documentation, "Persistent Volumes", Binding; design proposal "Volume Binding".
 */
import {
	classOf,
	defaultClassOf,
	isDefaultClass,
	type Key,
	keyOf,
	PersistentVolume,
	PersistentVolumeClaim,
	Pod,
	StorageClass,
} from '../../kinds/index.ts';
import { type Context, controller, watch } from '../runtime/controller.ts';
import { sameJson } from '../runtime/equality.ts';
import { BIND_COMPLETED, BOUND_BY_CONTROLLER, OLD_PROVISIONER, PROVISIONED_BY, PROVISIONER } from './annotations.ts';
import { type ClaimView, planClaim, type Saying } from './claim-plan.ts';
import { claimsByVolume, freeVolumes, podsByClaim, volumesByClaim, waitingClaims } from './indexes.ts';
import { capacityOf, claimKeyOf, isFor, serves } from './match.ts';
import { claimKeysOf } from './pod-claims.ts';
import { OWN_PROVISIONERS } from './provisioners.ts';

/** Who the events are from, as Kubernetes' own controller of both is called. */
export const COMPONENT = 'persistentvolume-controller';

export const claimBinder = controller<PersistentVolumeClaim>({
	name: 'persistentvolumeclaim-binder',
	component: COMPONENT,
	for: PersistentVolumeClaim,
	watches: [
		watch(PersistentVolume, claimsOfVolume),
		watch(StorageClass, claimsOfClass),
		// A claim that waits for its first consumer says so, and says when there is one.
		watch(Pod, (pod, cache) => claimKeysOf(pod).filter((key) => isWaiting(cache, key)), {
			part: ({ spec }) => spec.nodeName,
		}),
	],
	indexes: [volumesByClaim, freeVolumes, claimsByVolume, waitingClaims, podsByClaim],
	async reconcile(key, context) {
		const claim = context.cache.informer(PersistentVolumeClaim).get(key);
		if (!claim) return undefined;
		const step = planClaim(claim, viewOf(context.cache));
		switch (step.do) {
			case 'bind':
				await bind(claim, step.volume, context);
				break;
			case 'ask':
				await ask(claim, step.provisioner, context);
				say(claim, step.say, context);
				break;
			case 'make':
				await withPhase(claim, 'Pending', context);
				break;
			case 'wait':
				await withPhase(claim, 'Pending', context);
				say(claim, step.say, context);
				break;
			case 'lose':
				if (claim.status?.phase !== 'Lost') say(claim, step.say, context);
				await withPhase(claim, 'Lost', context);
				break;
			case 'name class':
				await context.client.update(PersistentVolumeClaim, {
					...claim,
					spec: { ...claim.spec, storageClassName: step.storageClass },
				});
		}
		return undefined;
	},
});

type Cache = Context['cache'];

const isWaiting = (cache: Cache, key: Key) => {
	const claim = cache.informer(PersistentVolumeClaim).get(key);
	return claim !== undefined && claim.metadata.annotations?.[BIND_COMPLETED] === undefined;
};

/** The claims that a change of the volume may concern. */
function* claimsOfVolume(volume: PersistentVolume, cache: Cache): Iterable<Key> {
	const claims = cache.informer(PersistentVolumeClaim);
	const named = claimKeyOf(volume);
	if (named) yield named;
	for (const claim of claims.by('volume', volume.metadata.name)) yield keyOf(claim);
	if (named) return;
	for (const claim of claims.by('waiting of class', classOf(volume) ?? ''))
		if (serves(volume, claim)) yield keyOf(claim);
}

function* claimsOfClass(storageClass: StorageClass, cache: Cache): Iterable<Key> {
	const claims = cache.informer(PersistentVolumeClaim);
	for (const claim of claims.by('waiting of class', storageClass.metadata.name)) yield keyOf(claim);
	if (!isDefaultClass(storageClass)) return;
	for (const claim of claims.by('waiting of class', '')) if (classOf(claim) === undefined) yield keyOf(claim);
}

/** What a decision on a claim looks at, in a cache that has the indexes of this controller. */
export function viewOf(cache: Cache): ClaimView {
	const volumes = cache.informer(PersistentVolume);
	const classes = cache.informer(StorageClass);
	return {
		volume: (name) => volumes.get(name),
		volumesFor: (claim) => volumes.by('claim', keyOf(claim)),
		freeOf: (storageClass) => volumes.by('free of class', storageClass),
		storageClass: (name) => classes.get(name),
		defaultClass: () => defaultClassOf(classes.list()),
		waitingPod(claim) {
			for (const { metadata, spec } of cache.informer(Pod).by('claim', keyOf(claim)))
				if (!spec.nodeName) return metadata.name;
			return undefined;
		},
		own: OWN_PROVISIONERS,
	};
}

async function bind(found: PersistentVolumeClaim, volume: PersistentVolume, { client }: Context): Promise<void> {
	const promised = volume.spec.claimRef?.uid ? volume : await client.update(PersistentVolume, promise(volume, found));
	const claim = isFor(promised, found) ? withVolume(found, promised) : found;
	const bound = claim === found ? found : await client.update(PersistentVolumeClaim, claim);
	// What a bound claim has is the concern of its expansion.
	const { phase, capacity } = bound.status ?? {};
	const status = {
		...bound.status,
		phase: 'Bound',
		accessModes: promised.spec.accessModes,
		capacity: phase === 'Bound' && capacity ? capacity : { storage: capacityOf(promised) },
	};
	if (!sameJson(status, bound.status))
		await client.update(PersistentVolumeClaim, { ...bound, status }, { subresource: 'status' });
}

/** The volume as this claim's. */
export function promise(volume: PersistentVolume, { metadata }: PersistentVolumeClaim): PersistentVolume {
	const { namespace, name, uid, resourceVersion } = metadata;
	const claimRef = { kind: 'PersistentVolumeClaim', apiVersion: 'v1', namespace, name, uid, resourceVersion };
	const annotations = volume.spec.claimRef
		? volume.metadata.annotations
		: { ...volume.metadata.annotations, [BOUND_BY_CONTROLLER]: 'yes' };
	return {
		...volume,
		metadata: { ...volume.metadata, annotations },
		spec: { ...volume.spec, claimRef: { ...volume.spec.claimRef, ...claimRef } },
	};
}

/** The claim as that of the volume; itself where it is. */
function withVolume(claim: PersistentVolumeClaim, { metadata }: PersistentVolume): PersistentVolumeClaim {
	const { annotations = {} } = claim.metadata;
	if (claim.spec.volumeName === metadata.name && annotations[BIND_COMPLETED] !== undefined) return claim;
	const byController: Record<string, string> = claim.spec.volumeName ? {} : { [BOUND_BY_CONTROLLER]: 'yes' };
	const maker = metadata.annotations?.[PROVISIONED_BY];
	return {
		...claim,
		metadata: {
			...claim.metadata,
			annotations: { ...annotations, ...(maker && madeBy(maker)), ...byController, [BIND_COMPLETED]: 'yes' },
		},
		spec: { ...claim.spec, volumeName: metadata.name },
	};
}

/** Says at a claim who makes its volume. */
const madeBy = (provisioner: string) => ({ [PROVISIONER]: provisioner, [OLD_PROVISIONER]: provisioner });

/** Says at the claim who is to make its volume: a provisioner looks for that. */
async function ask(claim: PersistentVolumeClaim, provisioner: string, context: Context): Promise<void> {
	const { annotations } = claim.metadata;
	const asked =
		annotations?.[PROVISIONER] === provisioner
			? claim
			: await context.client.update(PersistentVolumeClaim, {
					...claim,
					metadata: {
						...claim.metadata,
						annotations: { ...annotations, ...madeBy(provisioner) },
					},
				});
	await withPhase(asked, 'Pending', context);
}

async function withPhase(claim: PersistentVolumeClaim, phase: string, { client }: Context): Promise<void> {
	if (claim.status?.phase === phase) return;
	// What is lost is not had: its capacity stays as it was written, as in Kubernetes.
	await client.update(
		PersistentVolumeClaim,
		{ ...claim, status: { ...claim.status, phase } },
		{ subresource: 'status' },
	);
}

function say(claim: PersistentVolumeClaim, saying: Saying | undefined, { events }: Context): void {
	if (saying) events.event(claim, saying.type, saying.reason, saying.message);
}
