/** What pods need of volumes. Source: Kubernetes documentation, "Persistent Volumes", Access Modes and Node Affinity; "Storage Classes", Volume Binding Mode. */
import { classOf, type Pod } from '../../../kinds/index.ts';
import { claimKeyOf } from '../../volumes/match.ts';
import { claimKeysOf } from '../../volumes/pod-claims.ts';
import { podVolumes, volumesOn } from '../pod-volumes.ts';
import type { Filter } from './rule.ts';

const ONE_POD = ['node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode'];

const share = (a: Pod, b: Pod): boolean => {
	const keys = claimKeysOf(a);
	return keys.length > 0 && claimKeysOf(b).some((key) => keys.includes(key));
};

/** A claim for one pod is that of one pod in the whole cluster. */
export const volumeRestrictions: Filter = {
	name: 'VolumeRestrictions',
	helpedByRoom: true,
	prepare({ pod }, look) {
		const keys = claimKeysOf(pod).filter((key) =>
			look.volumes.claim(key)?.spec.accessModes?.includes('ReadWriteOncePod'),
		);
		const others = keys.flatMap((key) => [...look.volumes.podsOf(key)]);
		const taken = others.some(
			({ metadata }) => metadata.uid !== pod.metadata.uid && look.nodeOf(metadata.uid ?? '') !== undefined,
		);
		return taken ? () => ONE_POD : undefined;
	},
	hints: {
		'pod gone': ({ pod }, change) => share(pod, change.pod),
		claim: ({ pod }, { key }) => claimKeysOf(pod).includes(key),
	},
};

/** The volumes of the pod can be reached from the node, or are chosen or made with it. */
export const volumeBinding: Filter = {
	name: 'VolumeBinding',
	hopeless({ pod }, { volumes }) {
		const found = podVolumes(pod, volumes);
		return typeof found === 'string' ? found : undefined;
	},
	prepare({ pod }, { volumes }) {
		const found = podVolumes(pod, volumes);
		if (!found || typeof found === 'string') return undefined;
		return ({ node }) => {
			const plan = volumesOn(found, node, volumes);
			return 'bind' in plan ? undefined : plan;
		};
	},
	hints: {
		'node added': ({ pod }) => claimKeysOf(pod).length > 0,
		'node labels': ({ pod }) => claimKeysOf(pod).length > 0,
		claim: ({ pod }, { key }) => claimKeysOf(pod).includes(key),
		volume: ({ pod }, { volume }, { volumes }) => {
			const [named, storageClass] = [claimKeyOf(volume), classOf(volume) ?? ''];
			return claimKeysOf(pod).some((key) => {
				const claim = volumes.claim(key);
				return (
					named === key ||
					(claim !== undefined &&
						(claim.spec.volumeName === volume.metadata.name || (!named && (classOf(claim) ?? '') === storageClass)))
				);
			});
		},
		'storage class': ({ pod }, { name }, { volumes }) =>
			claimKeysOf(pod).some((key) => {
				const claim = volumes.claim(key);
				return claim !== undefined && classOf(claim) === name;
			}),
	},
};
