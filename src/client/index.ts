/** The door of client/. */
export { type Backoff, backoff } from './backoff.ts';
export { type CacheOptions, createCache } from './cache.ts';
export * from './client.ts';
export { type Clock, pause, systemClock } from './clock.ts';
export { type Copy, createCopy } from './copy.ts';
export { type ElectionOptions, microTime, runWhileLeader } from './election.ts';
export { type EventOptions, type EventRecorder, recordEvents } from './events.ts';
export { describe, type Faults, faults } from './fault.ts';
export { type HttpClient, overHttp, pathOf } from './http.ts';
export * from './informer.ts';
export { inProcess } from './inprocess.ts';
export { type FollowedKubeconfig, followKubeconfig, type KubeConfig, loadKubeconfig } from './kubeconfig.ts';
export { lines } from './lines.ts';
export { createQueue, type Queue } from './queue.ts';
export { followReferences, type Reference, type References } from './references.ts';
export { type ExecOptions, exec, type LogOptions, logs } from './stream.ts';
export type { Answer, Asking, Transport } from './transport.ts';
export { rememberWrites, type Writing } from './written.ts';
