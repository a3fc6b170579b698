/** The door of monitoring/: what is told to a Prometheus. */
export { stateText } from './state/index.ts';
