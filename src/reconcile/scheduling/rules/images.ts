/** Nodes that have a pod's images already. Source: Kubernetes documentation, "Scheduling Framework", ImageLocality. */
import type { Score } from './rule.ts';

const MiB = 1024 * 1024;
/** What less than so much, or more, of images is there counts alike. */
const LEAST_BYTES = 23 * MiB;
const MOST_BYTES_OF_CONTAINER = 1000 * MiB;

/** The most bytes that need not be fetched. An image that few nodes have counts for less, so that not all of its pods go there. */
export const presentImages: Score = {
	name: 'ImageLocality',
	weight: 1,
	of({ pod: { spec } }, nodes, look) {
		const containers = [...(spec.initContainers ?? []), ...spec.containers];
		const images = containers.flatMap(({ image }) => (image ? (look.images.of(image) ?? []) : []));
		if (images.length === 0) return undefined;
		const most = MOST_BYTES_OF_CONTAINER * containers.length;
		return nodes.map(({ name }) => {
			let bytes = 0;
			for (const { size, nodes: having } of images)
				if (having.has(name)) bytes += size * (having.size / look.nodes.size);
			const counted = Math.min(Math.max(bytes, LEAST_BYTES), most);
			return Math.floor((100 * (counted - LEAST_BYTES)) / (most - LEAST_BYTES));
		});
	},
};
