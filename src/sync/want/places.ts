/** What only one object of a cluster may hold besides its name: a service's node ports and addresses. Pure. */
import { type Dynamic, parseApiVersion, type Service } from '../../kinds/index.ts';

/** The places that an object names for itself. */
export function placesOf(object: Dynamic): string[] {
	if (object.kind !== 'Service' || parseApiVersion(object.apiVersion).group !== '') return [];
	const { spec } = object as unknown as Partial<Service>;
	const addresses = [spec?.clusterIP, ...(spec?.clusterIPs ?? [])].filter((each) => each && each !== 'None');
	const ports = [...(spec?.ports ?? []).map(({ nodePort }) => nodePort), spec?.healthCheckNodePort].filter(Boolean);
	return [...new Set([...addresses.map((each) => `address ${each}`), ...ports.map((each) => `port ${each}`)])];
}
