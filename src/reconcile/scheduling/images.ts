/** Which nodes have which images, as their statuses tell. Kept one node at a time. */
import type { Node } from '../../kinds/index.ts';

export interface ImageState {
	/** In bytes. */
	readonly size: number;
	/** The names of the nodes that have it. */
	readonly nodes: ReadonlySet<string>;
}

export interface Images {
	/** The image of a name as pods write it; undefined where no node has it. */
	of(name: string): ImageState | undefined;
	set(node: string, images: NonNullable<Node['status']>['images']): void;
}

export function createImages(): Images {
	const images = new Map<string, { size: number; readonly nodes: Set<string> }>();
	const had = new Map<string, ReadonlySet<string>>();
	return {
		of: (name) => (images.size === 0 ? undefined : images.get(tagged(name))),
		set(node, list = []) {
			for (const name of had.get(node) ?? []) {
				const image = images.get(name);
				image?.nodes.delete(node);
				if (image?.nodes.size === 0) images.delete(name);
			}
			const has = new Set<string>();
			for (const { names = [], sizeBytes = 0 } of list)
				for (const name of names) {
					has.add(name);
					const image = images.get(name);
					if (image) image.nodes.add(node);
					else images.set(name, { size: sizeBytes, nodes: new Set([node]) });
				}
			if (has.size > 0) had.set(node, has);
			else had.delete(node);
		},
	};
}

/** A name without a tag is that of `latest`. */
const tagged = (name: string) => (name.lastIndexOf(':') <= name.lastIndexOf('/') ? `${name}:latest` : name);
