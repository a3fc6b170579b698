/** The door of sync/git: the only code that talks to git. */
export { defaultLimits, type HttpLimits } from './http.ts';
export { leadsOf } from './leads.ts';
export { exited, GitError, gitEnvironment, type Identity, requireGit } from './program.ts';
export type { Refs } from './refs.ts';
export { type Credentials, type Mirror, type MirrorOptions, openMirror } from './remote.ts';
export {
	initRepository,
	isCommitId,
	openRepository,
	type Quarantine,
	type Repository,
	referenceNames,
	shortName,
} from './repository.ts';
