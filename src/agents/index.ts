/** The door of the node agent. */
export { type Agent, type AgentOptions, runAgent } from './agent.ts';
export { type ConnectOptions, connectEngine, type Engine, EngineError, findEngine } from './engine/index.ts';
export type { ImageGarbageOptions } from './garbage/images.ts';
export { EXAMPLE_IMAGE, ensureExampleImage } from './images/example.ts';
export { reportAbsence } from './node/absence.ts';
export { type NodeCertificate, requestNodeCertificate } from './node/certificate-request.ts';
export { ENGINES, type EngineKind, engineOfDataDir, nodeOfDataDir, refuseOtherNode } from './node/identity.ts';
export { NETWORK } from './node/network.ts';
export { CERTIFICATE_ANNOTATION } from './node/registration.ts';
export {
	type Amount,
	type EvictionOptions,
	parseAmounts,
	parseGraces,
	type Signal,
	thresholdsOf,
} from './pressure/thresholds.ts';
export { removeNode } from './remove.ts';
