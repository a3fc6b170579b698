/** The door of client/. */
export { type Backoff, backoff } from './backoff.ts';
export { type CacheOptions, createCache } from './cache.ts';
export * from './client.ts';
export { type Clock, pause, systemClock } from './clock.ts';
export { type EventOptions, type EventRecorder, recordEvents } from './events.ts';
export { describe, type Faults, faults } from './fault.ts';
export * from './informer.ts';
export { inProcess } from './inprocess.ts';
export { createQueue, type Queue } from './queue.ts';
export { rememberWrites, type Writing } from './written.ts';
