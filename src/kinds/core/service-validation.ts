/** The rules of services. Source: Kubernetes API reference, "Service", and the API server's messages. */
import { checkName, checkOneOf, checkPort, checkPortReference, checkRange, checkUnique } from '../checks.ts';
import { deepEqual } from '../equal.ts';
import { validateLabels } from '../metadata.ts';
import { cidr, dnsLabel, dnsSubdomain, ipAddress, qualifiedName, reachableAddress } from '../names.ts';
import { type FieldError, fieldError } from '../status.ts';
import { protocols } from './container-validation.ts';
import type { Service } from './service.ts';
import { hasHealthPort, isReachedFromOutside } from './service-spec.ts';

const ONE_DAY_SECONDS = 86_400;
const DISTRIBUTIONS = ['PreferClose', 'PreferSameNode', 'PreferSameZone'];

export function validateService(service: Service, old: Service | undefined): FieldError[] {
	const errors: FieldError[] = [];
	const { spec } = service;
	if (!spec) return [fieldError.required('spec')];
	checkOneOf(spec.type, 'spec.type', ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'], errors);
	validateLabels(spec.selector, 'spec.selector', errors);
	checkOneOf(spec.sessionAffinity, 'spec.sessionAffinity', ['ClientIP', 'None'], errors);
	checkRange(
		spec.sessionAffinityConfig?.clientIP?.timeoutSeconds,
		'spec.sessionAffinityConfig.clientIP.timeoutSeconds',
		1,
		ONE_DAY_SECONDS,
		errors,
	);
	validateAddresses(spec, errors);
	validatePorts(spec, errors);
	validatePolicies(spec, errors);
	if (old?.spec) {
		validateAddressChange(spec, old.spec, errors);
		const { healthCheckNodePort: port } = spec;
		if (
			hasHealthPort(spec) &&
			hasHealthPort(old.spec) &&
			old.spec.healthCheckNodePort &&
			port !== old.spec.healthCheckNodePort
		)
			errors.push(
				fieldError.invalid(
					'spec.healthCheckNodePort',
					port,
					'cannot change healthCheckNodePort on loadBalancer service with externalTraffic=Local during update',
				),
			);
	}
	if (!deepEqual(service.status, old?.status)) validateIngress(service.status, errors);
	return errors;
}

/** Where a load balancer is reached, as whoever keeps it says. */
function validateIngress(status: Service['status'], errors: FieldError[]): void {
	for (const [index, { ip, ipMode, hostname }] of (status?.loadBalancer?.ingress ?? []).entries()) {
		const at = `status.loadBalancer.ingress[${index}]`;
		checkName(ip, `${at}.ip`, ipAddress, errors);
		if (!ip && ipMode) errors.push(fieldError.forbidden(`${at}.ipMode`, 'may not be specified when `ip` is not set'));
		checkOneOf(ipMode, `${at}.ipMode`, ['Proxy', 'VIP'], errors);
		checkName(hostname, `${at}.hostname`, dnsSubdomain, errors);
		if (hostname && ipAddress(hostname).length === 0)
			errors.push(fieldError.invalid(`${at}.hostname`, hostname, 'must be a DNS name, not an IP address'));
	}
}

function validateAddresses(spec: Service['spec'], errors: FieldError[]): void {
	const { type, clusterIP, clusterIPs, externalName } = spec;
	if (type === 'ExternalName') {
		if (clusterIPs?.length || clusterIP)
			errors.push(fieldError.forbidden('spec.clusterIPs', 'may not be set for ExternalName services'));
		checkName(externalName?.replace(/\.$/, ''), 'spec.externalName', dnsSubdomain, errors, 'required');
	} else {
		if (clusterIP === 'None' && (type === 'NodePort' || type === 'LoadBalancer'))
			errors.push(fieldError.invalid('spec.clusterIPs[0]', clusterIP, `may not be set to 'None' for ${type} services`));
		if (clusterIP && clusterIP !== 'None') checkName(clusterIP, 'spec.clusterIPs[0]', ipAddress, errors);
		if (clusterIP && clusterIPs?.length && clusterIPs[0] !== clusterIP)
			errors.push(fieldError.invalid('spec.clusterIPs', clusterIPs, 'first value must match `clusterIP`'));
	}
	for (const [index, address] of (spec.externalIPs ?? []).entries())
		checkName(address, `spec.externalIPs[${index}]`, reachableAddress, errors, 'required');
	if (spec.loadBalancerSourceRanges?.length) {
		if (type !== 'LoadBalancer')
			errors.push(
				fieldError.forbidden('spec.loadBalancerSourceRanges', "may only be used when `type` is 'LoadBalancer'"),
			);
		for (const [index, range] of spec.loadBalancerSourceRanges.entries())
			checkName(range.trim(), `spec.loadBalancerSourceRanges[${index}]`, cidr, errors, 'required');
	}
	if (spec.loadBalancerClass) {
		if (type !== 'LoadBalancer')
			errors.push(fieldError.forbidden('spec.loadBalancerClass', "may only be used when `type` is 'LoadBalancer'"));
		checkName(spec.loadBalancerClass, 'spec.loadBalancerClass', qualifiedName, errors);
	}
}

function validatePorts(spec: Service['spec'], errors: FieldError[]): void {
	const { type, ports = [] } = spec;
	if (ports.length === 0 && spec.clusterIP !== 'None' && type !== 'ExternalName')
		errors.push(fieldError.required('spec.ports'));
	const names = new Set<string>();
	const numbers = new Set<string>();
	const nodePorts = new Set<string>();
	for (const [index, port] of ports.entries()) {
		const at = `spec.ports[${index}]`;
		checkName(port.name, `${at}.name`, dnsLabel, errors, ports.length > 1 ? 'required' : 'optional');
		checkUnique(port.name, `${at}.name`, names, errors);
		checkPort(port.port, `${at}.port`, errors);
		checkOneOf(port.protocol, `${at}.protocol`, protocols, errors);
		if (port.targetPort !== undefined) checkPortReference(port.targetPort, `${at}.targetPort`, errors);
		checkName(port.appProtocol, `${at}.appProtocol`, qualifiedName, errors);
		const number = `${port.protocol}/${port.port}`;
		if (numbers.has(number)) errors.push(fieldError.duplicate(at, { protocol: port.protocol, port: port.port }));
		numbers.add(number);
		if (!port.nodePort) continue;
		if (type === 'ClusterIP' || type === 'ExternalName')
			errors.push(fieldError.forbidden(`${at}.nodePort`, `may not be used when \`type\` is '${type}'`));
		checkUnique(`${port.protocol}/${port.nodePort}`, `${at}.nodePort`, nodePorts, errors);
	}
}

function validatePolicies(spec: Service['spec'], errors: FieldError[]): void {
	const { type } = spec;
	const policies = ['Cluster', 'Local'];
	checkOneOf(spec.internalTrafficPolicy, 'spec.internalTrafficPolicy', policies, errors);
	checkOneOf(spec.externalTrafficPolicy, 'spec.externalTrafficPolicy', policies, errors);
	checkOneOf(spec.trafficDistribution, 'spec.trafficDistribution', DISTRIBUTIONS, errors);
	if (spec.externalTrafficPolicy && !isReachedFromOutside(spec))
		errors.push(
			fieldError.invalid(
				'spec.externalTrafficPolicy',
				spec.externalTrafficPolicy,
				'may only be set for externally-accessible services',
			),
		);
	if (spec.healthCheckNodePort) {
		checkPort(spec.healthCheckNodePort, 'spec.healthCheckNodePort', errors);
		if (!hasHealthPort(spec))
			errors.push(
				fieldError.invalid(
					'spec.healthCheckNodePort',
					spec.healthCheckNodePort,
					"may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
				),
			);
	}
	if (spec.allocateLoadBalancerNodePorts !== undefined && type !== 'LoadBalancer')
		errors.push(
			fieldError.forbidden('spec.allocateLoadBalancerNodePorts', "may only be used when `type` is 'LoadBalancer'"),
		);
	checkOneOf(
		spec.ipFamilyPolicy,
		'spec.ipFamilyPolicy',
		['PreferDualStack', 'RequireDualStack', 'SingleStack'],
		errors,
	);
	for (const [index, family] of (spec.ipFamilies ?? []).entries())
		checkOneOf(family, `spec.ipFamilies[${index}]`, ['IPv4', 'IPv6'], errors);
}

function validateAddressChange(spec: Service['spec'], old: Service['spec'], errors: FieldError[]): void {
	// A name outside has no address, so that one may come and go with the type.
	if (spec.type === 'ExternalName' || old.type === 'ExternalName' || !old.clusterIP) return;
	if (!deepEqual(spec.clusterIPs?.[0] ?? spec.clusterIP, old.clusterIPs?.[0] ?? old.clusterIP))
		errors.push(
			fieldError.invalid('spec.clusterIPs[0]', spec.clusterIPs ?? [spec.clusterIP], 'may not change once set'),
		);
}
