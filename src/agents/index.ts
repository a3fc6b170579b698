/** The door of the node agent. */
export { type ConnectOptions, connectEngine, type Engine, EngineError } from './engine/index.ts';
export { EXAMPLE_IMAGE, ensureExampleImage } from './images/example.ts';
