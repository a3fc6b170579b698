/** The door of sync/. */
export { type Applications, createApplications, type SyncOptions } from './application.ts';
export { cascadeFinalizer } from './cascade.ts';
export { findCredentials, type RepositoryCredentials } from './credentials.ts';
export { SELF_HEAL_DELAY_MS } from './decide.ts';
export { homeNamespace, instanceOf, managerOf, trackingAnnotation } from './desired.ts';
export { createPushHandler, DEFAULT_PUSH_WAIT_MS, type PushedOptions } from './pushed.ts';
export { worst } from './report.ts';
