import type * as core from 'kubernetes-types/core/v1.js';
import { checkName, checkOneOf, checkPort } from '../checks.ts';
import { age, column, kind } from '../declare.ts';
import type { Kind } from '../kind.ts';
import { atomic, wholly } from '../merges.ts';
import { dnsLabel, reachableAddress } from '../names.ts';
import type { Persisted } from '../object.ts';
import { type FieldError, fieldError } from '../status.ts';
import { protocols } from './container-validation.ts';

export type Endpoints = Persisted<core.Endpoints>;

/** How many addresses a line names before it says how many more there are. */
const SHOWN = 3;

/** Source: Kubernetes API reference, "Endpoints". */
export const Endpoints: Kind<Endpoints> = kind<Endpoints>({
	group: '',
	version: 'v1',
	kind: 'Endpoints',
	plural: 'endpoints',
	singular: 'endpoints',
	schema: 'io.k8s.api.core.v1.Endpoints',
	merges: {
		'io.k8s.api.core.v1.EndpointAddress': wholly,
		'io.k8s.api.core.v1.EndpointPort': wholly,
		'io.k8s.api.core.v1.EndpointSubset': { addresses: atomic, notReadyAddresses: atomic, ports: atomic },
		'io.k8s.api.core.v1.Endpoints': { subsets: atomic },
	},
	shortNames: ['ep'],
	createOnUpdate: true,
	columns: [column('Endpoints', 'string', 'The addresses that are ready, each with its port.', addresses), age],
	defaults(endpoints) {
		for (const subset of endpoints.subsets ?? []) for (const port of subset.ports ?? []) port.protocol ||= 'TCP';
	},
	validate(endpoints) {
		const errors: FieldError[] = [];
		for (const [index, subset] of (endpoints.subsets ?? []).entries()) {
			const at = `subsets[${index}]`;
			if (!subset.addresses?.length && !subset.notReadyAddresses?.length)
				errors.push(fieldError.required(at, 'must specify `addresses` or `notReadyAddresses`'));
			for (const field of ['addresses', 'notReadyAddresses'] as const)
				for (const [each, { ip, hostname }] of (subset[field] ?? []).entries()) {
					checkName(ip, `${at}.${field}[${each}].ip`, reachableAddress, errors, 'required');
					checkName(hostname, `${at}.${field}[${each}].hostname`, dnsLabel, errors);
				}
			const ports = subset.ports ?? [];
			for (const [each, port] of ports.entries()) {
				const field = `${at}.ports[${each}]`;
				checkName(port.name, `${field}.name`, dnsLabel, errors, ports.length > 1 ? 'required' : 'optional');
				checkPort(port.port, `${field}.port`, errors);
				checkOneOf(port.protocol, `${field}.protocol`, protocols, errors);
			}
		}
		return errors;
	},
});

function addresses({ subsets = [] }: Endpoints): string {
	// Each address with each port may be more than fit into memory: they are counted, and those made that are shown.
	let count = 0;
	for (const { addresses = [], ports } of subsets) count += addresses.length * (ports?.length || 1);
	if (count === 0) return '<none>';
	const shown = subsets.values().flatMap(pairs).take(SHOWN).toArray().join(',');
	return count > SHOWN ? `${shown} + ${count - SHOWN} more...` : shown;
}

function* pairs({ addresses = [], ports }: core.EndpointSubset): Generator<string> {
	if (!ports?.length) for (const { ip } of addresses) yield ip;
	for (const { port } of ports ?? [])
		for (const { ip } of addresses) yield ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}
