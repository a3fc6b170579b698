/** The door of sync/source. */
export { type Embedded, MAX_PUSH_BYTES, openEmbedded } from './embedded.ts';
export { type Commit, type Source, SourceError, type SourceState } from './source.ts';
export {
	comparable,
	createSources,
	folderURL,
	POLL,
	type SourceSpec,
	type Sources,
	type SourcesOptions,
} from './sources.ts';
export type { Located, Tree, TreeEntry } from './tree.ts';
