/** The door of sync/git: the only code that talks to git. */
export { defaultLimits, type HttpLimits } from './http.ts';
export { exited, GitError, gitEnvironment, requireGit } from './program.ts';
export { type Credentials, type Mirror, type MirrorOptions, openMirror } from './remote.ts';
export { initRepository, openRepository, type Repository } from './repository.ts';
