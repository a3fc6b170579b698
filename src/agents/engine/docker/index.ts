/** The door of the engine that speaks Docker's API. */
export { type DockerOptions, dockerEngine } from './engine.ts';
export { answers, type Supervised, superviseDockerd, whatIsMissing } from './supervise.ts';
