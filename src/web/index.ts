/** The door of web/. */
export { serveWeb, type Web, type WebOptions } from './server.ts';
