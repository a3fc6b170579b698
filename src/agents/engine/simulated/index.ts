/** The door of the engine that runs nothing. */
export { type SimulatedOptions, simulatedEngine } from './engine.ts';
