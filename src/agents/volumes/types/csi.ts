/** csi: a volume of a storage driver that lives as long as its pod. Source: Kubernetes documentation, "Ephemeral Volumes", CSI ephemeral volumes. */
import { ofPod, type PodFacts } from '../../csi/index.ts';
import { VolumeError } from '../error.ts';
import type { PodView, Source, VolumeType } from '../type.ts';

/** What a driver may be told of the pod. */
export const factsOf = (pod: PodView): PodFacts => ({
	uid: pod.uid,
	name: pod.name,
	namespace: pod.field('metadata.namespace') ?? '',
	serviceAccount: pod.field('spec.serviceAccountName') ?? '',
	...(pod.group !== undefined && { group: pod.group }),
	onRootMismatch: pod.groupChange === 'OnRootMismatch',
});

/** The volumes of drivers. Throws VolumeError where the node has none. */
export function driversOf({ storage }: PodView) {
	if (!storage.csi) throw new VolumeError('this node has no CSI drivers');
	return storage.csi;
}

const nameOf = (source: Source<'csi'>, { volumes }: PodView) => volumes.find(({ csi }) => csi === source)?.name ?? '';

export const csi: VolumeType<'csi'> = {
	key: 'csi',
	folder: 'csi',
	ownDeadlines: true,
	isReadOnly: ({ readOnly }) => readOnly === true,
	path: (source, pod) => driversOf(pod).place(pod.uid, nameOf(source, pod)),
	async prepare({ source, pod }) {
		const facts = factsOf(pod);
		await driversOf(pod).mount(ofPod(source, nameOf(source, pod), facts), facts);
	},
};
