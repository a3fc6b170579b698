/** From the path of a request to what it speaks of. Source: Kubernetes documentation, "Kubernetes API Concepts", "Resource URIs". */

/** A request about a resource. */
export interface ResourceRoute {
	readonly type: 'resource';
	readonly group: string;
	readonly version: string;
	readonly plural: string;
	readonly namespace?: string;
	readonly name?: string;
	readonly subresource?: string;
	/** What follows the subresource: `/path` of a proxy. */
	readonly rest?: string;
	/** A deprecated path of the form /api/v1/watch/... */
	readonly watch: boolean;
}

export type Route = ResourceRoute | { readonly type: 'path'; readonly path: string };

/** Segments after which /namespaces/NAME/ is still about the namespace itself. */
const ofNamespaces = new Set(['status', 'finalize']);

/** Throws URIError for a path that is not properly escaped. */
export function routeOf(path: string): Route {
	const parts = path.split('/');
	let index: number;
	let group: string;
	let version: string | undefined;
	if (parts[1] === 'api') {
		group = '';
		version = parts[2];
		index = 3;
	} else if (parts[1] === 'apis' && parts[2]) {
		group = decoded(parts[2]);
		version = parts[3];
		index = 4;
	} else return { type: 'path', path };
	if (!version || !parts[index]) return { type: 'path', path };

	const watch = parts[index] === 'watch';
	if (watch) index++;
	let namespace: string | undefined;
	if (parts[index] === 'namespaces' && parts[index + 2] && !ofNamespaces.has(parts[index + 2] ?? '')) {
		namespace = decoded(parts[index + 1] ?? '');
		index += 2;
	}
	const plural = parts[index];
	if (!plural) return { type: 'path', path };
	const name = parts[index + 1];
	const subresource = parts[index + 2];
	const rest = parts.slice(index + 3);
	return {
		type: 'resource',
		group,
		version,
		plural: decoded(plural),
		namespace,
		name: name ? decoded(name) : undefined,
		subresource: subresource ? decoded(subresource) : undefined,
		rest: rest.length > 0 ? `/${rest.join('/')}` : undefined,
		watch,
	};
}

const decoded = (segment: string) => (segment.includes('%') ? decodeURIComponent(segment) : segment);
