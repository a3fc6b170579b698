/** The door of sync/. */
export { createAnswers } from './answers.ts';
export { type Applications, createApplications, type SyncOptions } from './application.ts';
export { refreshAnnotation } from './following.ts';
export { cascadeFinalizer } from './operation/cascade.ts';
export { SELF_HEAL_DELAY_MS } from './operation/decide.ts';
export { sourcesOf } from './revision.ts';
export { createPushHandler, DEFAULT_PUSH_WAIT_MS, type PushedOptions } from './status/pushed.ts';
export { worst } from './status/report.ts';
export { findCredentials, type RepositoryCredentials } from './want/credentials.ts';
export { homeNamespace, instanceOf, managerOf, trackingAnnotation } from './want/desired.ts';
export { controlNamespaces, type Outside, outsideOf } from './want/scope.ts';
