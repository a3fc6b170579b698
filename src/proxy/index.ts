/** The door of proxy/: services and names on a node. IPv4 only. */
export { stopDns } from './dns/process.ts';
export { createProxyMetrics, type ProxyMetrics } from './metrics.ts';
export { type ProxyOptions, runProxy } from './proxy.ts';
export { removeRules } from './remove.ts';
