/** The door of sync/push. */
export type { Push, PushHandler, QuarantinedPush, Verdict } from './push.ts';
export { openPushServer, type PushServer, type PushServerOptions } from './server.ts';
export { loadToken } from './token.ts';
