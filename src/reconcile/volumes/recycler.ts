/**
 * The policy Recycle: a volume whose claim is gone is emptied by a pod, and is anybody's then. Kubernetes advises against it, and so does
 * this: the class `standard` makes a new volume for each claim. Source: Kubernetes documentation, "Persistent Volumes", Recycle.
 */
import { keyOf, PersistentVolume, Pod } from '../../kinds/index.ts';
import { type Context, controller, watch } from '../runtime/controller.ts';
import { isAlreadyThere, unlessGone } from '../runtime/refusal.ts';
import { COMPONENT } from './claim-binder.ts';
import { podsByClaim } from './indexes.ts';
import { claimKeyOf } from './match.ts';
import { withPhase } from './volume-binder.ts';
import { parted, reclaimOf } from './volume-plan.ts';

const NAMESPACE = 'default';
const PREFIX = 'recycler-for-';
/** Of a pod: the volume that it empties, by its uid. */
const VOLUME_UID = 'driftless.io/recycles';
/** How long it may take. */
const LONGEST_SECONDS = 3_600;
/** What the pod does, with what busybox has: it goes into no other file system, follows no link, and fails where something is left. */
const SCRUB = [
	'find /scrub -xdev -mindepth 1 ! -type d -exec rm -f {} +',
	'find /scrub -xdev -mindepth 1 -depth -type d -exec rmdir {} +',
	'test -z "$(ls -A /scrub)"',
].join(' && ');

export const recycler = controller<PersistentVolume>({
	name: 'volume-recycler',
	component: COMPONENT,
	for: PersistentVolume,
	watches: [
		watch(Pod, ({ metadata }) => (metadata.annotations?.[VOLUME_UID] ? [metadata.name.slice(PREFIX.length)] : []), {
			part: ({ status }) => status?.phase,
		}),
	],
	indexes: [podsByClaim],
	async reconcile(key, context) {
		const { cache, client, events } = context;
		const volume = cache.informer(PersistentVolume).get(key);
		const pod = cache.informer(Pod).get(keyOf({ metadata: { namespace: NAMESPACE, name: PREFIX + key } }));
		const its = pod && volume && pod.metadata.annotations?.[VOLUME_UID] === volume.metadata.uid ? pod : undefined;
		// What it was to empty has gone, or is another.
		if (pod && !its) await remove(pod, context);
		if (!volume || volume.metadata.deletionTimestamp || reclaimOf(volume) !== 'recycle') return undefined;
		if (volume.status?.phase !== 'Released') {
			if (its) await remove(its, context);
			return undefined;
		}
		const fail = async (why: string) => {
			events.event(volume, 'Warning', 'VolumeFailedRecycle', why);
			await withPhase(volume, 'Failed', context, why);
		};
		if (!volume.spec.hostPath) {
			await fail('No recycler plugin found for the volume!');
			return undefined;
		}
		switch (its?.status?.phase) {
			case undefined:
				if (!isUsed(volume, context)) await begin(volume, context);
				break;
			case 'Succeeded':
				events.event(volume, 'Normal', 'VolumeRecycled', 'Volume recycled');
				await client.update(PersistentVolume, parted(volume));
				break;
			case 'Failed':
				await fail(`Recycle failed: ${its?.status?.message ?? 'the pod that empties the volume has failed'}`);
				break;
			default:
		}
		return undefined;
	},
});

/** Whether pods that were forgotten with the claim run on with the volume. */
function isUsed(volume: PersistentVolume, { cache }: Context): boolean {
	for (const { status } of cache.informer(Pod).by('claim', claimKeyOf(volume) ?? ''))
		if (status?.phase !== 'Succeeded' && status?.phase !== 'Failed') return true;
	return false;
}

async function begin(volume: PersistentVolume, { client }: Context): Promise<void> {
	const { name, uid = '' } = volume.metadata;
	const required = volume.spec.nodeAffinity?.required;
	try {
		await client.create(Pod, {
			apiVersion: 'v1',
			kind: 'Pod',
			metadata: { name: PREFIX + name, namespace: NAMESPACE, annotations: { [VOLUME_UID]: uid } },
			spec: {
				restartPolicy: 'Never',
				activeDeadlineSeconds: LONGEST_SECONDS,
				...(required && {
					affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: required } },
				}),
				containers: [
					{
						name: 'pv-recycler',
						image: 'driftless/example:1',
						imagePullPolicy: 'IfNotPresent',
						command: ['/bin/sh', '-c', SCRUB],
						volumeMounts: [{ name: 'vol', mountPath: '/scrub' }],
					},
				],
				volumes: [{ name: 'vol', hostPath: volume.spec.hostPath }],
			},
		});
	} catch (error) {
		if (!isAlreadyThere(error)) throw error;
	}
}

async function remove({ metadata }: Pod, { client }: Context): Promise<void> {
	await unlessGone(client.delete(Pod, metadata, { preconditions: { uid: metadata.uid } }));
}
