/** What the sources of an application describe together: each is rendered by itself, and of several each place names its source. */
import type { ApplicationDestination, ApplicationSource, SourceType } from '../../kinds/index.ts';
import type { Manifest, Position, Rendered, Renderer, RenderProblem } from '../render/index.ts';
import { labelsOf } from '../revision.ts';
import type { Tree } from '../source/index.ts';

/** A source and what it held at one revision. */
export interface Part {
	readonly source: ApplicationSource;
	readonly tree: Tree;
}

/** What is rendered of all parts, in their order. */
export interface RenderedParts extends Pick<Rendered, 'manifests' | 'broken' | 'problems' | 'ignored'> {
	/** How each was rendered; the empty one is of a source that others only refer to. */
	readonly types: readonly SourceType[];
}

/** Renders parts; remembers the manifests that it has marked with their source for as long as the renderer keeps them. */
export type RenderParts = (
	parts: readonly Part[],
	destination: ApplicationDestination,
	signal: AbortSignal,
) => Promise<RenderedParts>;

/**
 * Whether a source is there for others to refer to, and describes no objects itself: it has a `ref` and no path.
 * Source: Argo CD, "Helm value files from external Git repository".
 */
export function isReference({ ref, path, chart }: ApplicationSource): boolean {
	return Boolean(ref) && !path && !chart;
}

export function createRenderParts(renderer: Renderer): RenderParts {
	const marked = new Map<string, WeakMap<Manifest, Manifest>>();
	const mark = (manifest: Manifest, label: string): Manifest => {
		const known = marked.get(label) ?? new WeakMap<Manifest, Manifest>();
		marked.set(label, known);
		const before = known.get(manifest);
		if (before) return before;
		const of = (position: Position) => ({ ...position, source: label });
		const locate: Manifest['locate'] = (path) => of(manifest.locate(path));
		const next = { ...manifest, position: of(manifest.position), locate };
		known.set(manifest, next);
		return next;
	};
	return async (parts, { namespace }, signal) => {
		const labels = labelsOf(parts.map(({ source }) => source));
		const manifests: Manifest[] = [];
		const broken: Manifest[] = [];
		const problems: RenderProblem[] = [];
		const ignored: RenderProblem[] = [];
		const types: SourceType[] = [];
		for (const [index, { source, tree }] of parts.entries()) {
			if (isReference(source)) {
				types.push('');
				continue;
			}
			const label = labels[index];
			const rendered = await renderer.render(tree, { ...optionsOf(source), namespace }, signal);
			const of = (manifest: Manifest) => (label === undefined ? manifest : mark(manifest, label));
			const at = (problem: RenderProblem) => (label === undefined ? problem : within(problem, label, index));
			manifests.push(...rendered.manifests.map(of));
			broken.push(...rendered.broken.map(of));
			problems.push(...rendered.problems.map(at));
			ignored.push(...rendered.ignored.map(at));
			types.push(rendered.kustomized ? 'Kustomize' : 'Directory');
		}
		return { manifests, broken, problems, ignored, types };
	};
}

/** A problem of the source with this label and place in the list, by whose name it calls its fields too. */
function within({ position, field, message }: RenderProblem, source: string, index: number): RenderProblem {
	const named = (text: string) =>
		text.replace(/\bspec\.source\.(path|directory\.exclude)$/, `spec.sources[${index}].$1`);
	return { position: { ...position, source }, field: field && named(field), message: named(message) };
}

/** As Argo CD has it: sub-folders only where they are asked for. */
const optionsOf = ({ path = '', directory }: ApplicationSource) => ({
	path,
	recurse: directory?.recurse ?? false,
	include: directory?.include,
	exclude: directory?.exclude,
});
