import { isIPv4, isIPv6 } from 'node:net';
import type * as discovery from 'kubernetes-types/discovery/v1.js';
import { checkName, checkOneOf, checkPort, checkUnique } from '../checks.ts';
import { protocols } from '../core/container-validation.ts';
import { age, column, kind } from '../declare.ts';
import type { Kind } from '../kind.ts';
import { atomic, set, wholly } from '../merges.ts';
import { dnsLabel, dnsSubdomain, qualifiedName, reachableAddress } from '../names.ts';
import type { Persisted } from '../object.ts';
import { type FieldError, fieldError } from '../status.ts';

/** The label that tells which service of its namespace a slice belongs to. */
export const SERVICE_NAME = 'kubernetes.io/service-name';
/** The annotation that tells when the pod or service changed because of which it was last written. */
export const TRIGGER_TIME = 'endpoints.kubernetes.io/last-change-trigger-time';

export type EndpointSlice = Persisted<discovery.EndpointSlice>;

/** Source: Kubernetes API reference, "EndpointSlice". */
const MAX_ENDPOINTS = 1000;
const MAX_PORTS = 20_000;
const MAX_ADDRESSES = 100;
/** How many items a cell names before it says how many more there are. */
const SHOWN = 3;

export const EndpointSlice: Kind<EndpointSlice> = kind<EndpointSlice>({
	group: 'discovery.k8s.io',
	version: 'v1',
	kind: 'EndpointSlice',
	plural: 'endpointslices',
	schema: 'io.k8s.api.discovery.v1.EndpointSlice',
	merges: {
		'io.k8s.api.discovery.v1.Endpoint': { addresses: set },
		'io.k8s.api.discovery.v1.EndpointHints': { forNodes: atomic, forZones: atomic },
		'io.k8s.api.discovery.v1.EndpointPort': wholly,
		'io.k8s.api.discovery.v1.EndpointSlice': { endpoints: atomic, ports: atomic },
	},
	generation: true,
	columns: [
		column('AddressType', 'string', 'IPv4, IPv6 or FQDN.', ({ addressType }) => addressType ?? ''),
		column('Ports', 'string', 'The ports of each endpoint.', ({ ports }) =>
			ports?.length ? shorten(ports.map(({ port, name }) => (port ? String(port) : (name ?? '*')))) : '<unset>',
		),
		column('Endpoints', 'string', 'The addresses of the endpoints.', ({ endpoints }) => {
			const addresses = (endpoints ?? []).flatMap((endpoint) => endpoint.addresses ?? []);
			return addresses.length > 0 ? shorten(addresses) : '<unset>';
		}),
		age,
	],
	defaults(slice) {
		// A slice without endpoints has an empty list, as it is served by Kubernetes.
		slice.endpoints ??= [];
		for (const port of slice.ports ?? []) {
			port.name ??= '';
			port.protocol ||= 'TCP';
		}
	},
	validate(slice, old) {
		const errors: FieldError[] = [];
		const { addressType, endpoints = [], ports = [] } = slice;
		if (!addressType) errors.push(fieldError.required('addressType'));
		checkOneOf(addressType, 'addressType', ['FQDN', 'IPv4', 'IPv6'], errors);
		if (endpoints.length > MAX_ENDPOINTS) errors.push(fieldError.tooMany('endpoints', endpoints.length, MAX_ENDPOINTS));
		for (const [index, endpoint] of endpoints.entries()) {
			const at = `endpoints[${index}]`;
			const addresses = endpoint.addresses ?? [];
			if (addresses.length === 0)
				errors.push(fieldError.required(`${at}.addresses`, 'must contain at least 1 address'));
			if (addresses.length > MAX_ADDRESSES)
				errors.push(fieldError.tooMany(`${at}.addresses`, addresses.length, MAX_ADDRESSES));
			for (const [each, address] of addresses.entries())
				checkAddress(address, addressType, `${at}.addresses[${each}]`, errors);
			checkName(endpoint.hostname, `${at}.hostname`, dnsLabel, errors);
			checkName(endpoint.nodeName, `${at}.nodeName`, dnsSubdomain, errors);
		}
		if (ports.length > MAX_PORTS) errors.push(fieldError.tooMany('ports', ports.length, MAX_PORTS));
		const names = new Set<string>();
		for (const [index, port] of ports.entries()) {
			const at = `ports[${index}]`;
			checkName(port.name, `${at}.name`, dnsLabel, errors);
			// An unnamed port counts as named by the empty text.
			if (!port.name && names.has('')) errors.push(fieldError.duplicate(`${at}.name`, ''));
			if (!port.name) names.add('');
			checkUnique(port.name, `${at}.name`, names, errors);
			if (port.port !== undefined) checkPort(port.port, `${at}.port`, errors);
			checkOneOf(port.protocol, `${at}.protocol`, protocols, errors);
			checkName(port.appProtocol, `${at}.appProtocol`, qualifiedName, errors);
		}
		if (old && old.addressType !== addressType)
			errors.push(fieldError.invalid('addressType', addressType ?? '', 'field is immutable'));
		return errors;
	},
});

function checkAddress(address: string, type: string, field: string, errors: FieldError[]): void {
	switch (type) {
		case 'IPv4':
			if (!isIPv4(address)) errors.push(fieldError.invalid(field, address, 'must be an IPv4 address'));
			else checkName(address, field, reachableAddress, errors);
			break;
		case 'IPv6':
			if (!isIPv6(address)) errors.push(fieldError.invalid(field, address, 'must be an IPv6 address'));
			else checkName(address, field, reachableAddress, errors);
			break;
		case 'FQDN':
			checkName(address, field, dnsSubdomain, errors, 'required');
	}
}

function shorten(items: readonly string[]): string {
	const shown = items.slice(0, SHOWN).join(',');
	return items.length > SHOWN ? `${shown} + ${items.length - SHOWN} more...` : shown;
}
