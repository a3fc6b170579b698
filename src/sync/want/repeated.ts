/** What more than one source of an application describes. Pure. */
import { nameOf, whereOf } from '../operation/execute.ts';
import { formatPosition, type Manifest, type RenderProblem } from '../render/index.ts';
import type { Desirer } from './check.ts';
import type { Desired } from './desired.ts';

export interface Counted {
	readonly manifest: Manifest;
	readonly wanted: Desired | undefined;
}

/** Of what several sources describe the last one counts. Source: Argo CD, "Multiple Sources for an Application". */
export function lastOfEach(
	manifests: readonly Manifest[],
	desirer: Desirer,
): { readonly counts: readonly Counted[]; readonly repeated: readonly RenderProblem[] } {
	const all = manifests.map((manifest): Counted => ({ manifest, wanted: desirer(manifest) }));
	const last = new Map(all.flatMap(({ manifest, wanted }) => (wanted ? [[wanted.id, manifest] as const] : [])));
	const repeated: RenderProblem[] = [];
	const counts = all.filter(({ manifest: { position }, wanted }) => {
		const other = wanted && last.get(wanted.id)?.position;
		// Twice in one source is a problem of that source, and told as one.
		if (!wanted || !other || other.source === position.source) return true;
		const message = `${nameOf(wanted.object)}${whereOf(wanted.object)} is also described at ${formatPosition(other)}, which counts`;
		repeated.push({ position, message });
		return false;
	});
	return { counts, repeated };
}
