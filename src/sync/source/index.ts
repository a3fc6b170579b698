/** The door of sync/source. */
export type { Repository } from '../git/index.ts';
export { type Embedded, type EmbeddedOptions, MAX_PUSH_BYTES, openEmbedded } from './embedded.ts';
export { grant, grantsFolder, localPath } from './grants.ts';
export { clusterHeads, HeadMoved, type Heads, planMove, type RefChange } from './heads.ts';
export { alone, type Certificates, callPeer, type Peer, type Peers } from './peers.ts';
export { withoutCredentials } from './remote.ts';
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
