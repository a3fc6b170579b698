/** The door of api/: the API in process and over HTTPS, its certificates, and the kubeconfig. */
export type * from './api.ts';
export { fingerprint, type Identity, isNearEnd, issue, type KeyPair } from './certificates.ts';
export { serverVersion } from './discovery.ts';
export { servingCertificateAnnotation } from './http/agent-connection.ts';
export { type DriverAnswer, type DriverCall, driverCalls } from './http/driver-call.ts';
export type { Request, Response } from './http/exchange.ts';
export type { Answers, Question } from './http/given.ts';
export { type Served, type ServeOptions, serveApi } from './http/server.ts';
export { type KubeconfigOptions, writeKubeconfig } from './kubeconfig.ts';
export { measuring } from './metrics/index.ts';
export { type ApiOptions, type OpenApi, openApi, systemCaller } from './open.ts';
export { readScale, type Scale } from './patch/index.ts';
export { openPki, type Pki, type PkiOptions } from './pki.ts';
export { type NodeRequest, nodeOfRequest, signNodeRequest } from './signing.ts';
export type { AdmissionPlugin, AdmissionRequest, Mutation } from './verbs/admission.ts';
export type { Count, Counter } from './verbs/counts.ts';
export { defaultServiceRange, type ServiceRange } from './verbs/services.ts';
