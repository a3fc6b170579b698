/** The names of drivers of the Container Storage Interface. Source: Kubernetes API reference, "CSIDriver", metadata.name. */
import { dnsSubdomain, type NameCheck } from '../names.ts';

const MAX_BYTES = 63;

export const csiDriverName: NameCheck = (name) => [
	...(name.length > MAX_BYTES ? [`must be no more than ${MAX_BYTES} bytes`] : []),
	...dnsSubdomain(name.toLowerCase()),
];
