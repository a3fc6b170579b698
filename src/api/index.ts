/** The door of api/: the API in process and over HTTPS, its certificates, and the form of its options. */
export type * from './api.ts';
export { type ApiOptions, openApi, systemCaller } from './open.ts';
