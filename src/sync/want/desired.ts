/** From a manifest to the object that sync applies: with its namespace, and marked as belonging to its application. */
import {
	type Application,
	apiVersionOf,
	type Dynamic,
	type Key,
	type Kind,
	keyOf,
	parseApiVersion,
	type Registry,
} from '../../kinds/index.ts';
import type { Manifest } from '../render/index.ts';
import { decodedSecret } from './secret.ts';

/** One object that an application wants. */
export interface Desired {
	/** `apps/Deployment/shop/web`: unique in a cluster. */
	readonly id: string;
	readonly kind: Kind;
	readonly key: Key;
	/** What apply sends; frozen. */
	readonly object: Dynamic;
	readonly manifest: Manifest;
}

/**
 * The annotation that says which application an object belongs to, and which object it was written for: a controller
 * that copies annotations to its children does not make them the application's. Source: Argo CD, "Resource Tracking".
 */
export const trackingAnnotation = 'argocd.argoproj.io/tracking-id';

/** The namespace whose Applications are known by their bare name. */
export const homeNamespace = 'default';

/** How an application is called in tracking ids and field managers: its name, or `NAMESPACE_NAME` outside the home namespace. */
export function instanceOf(application: Pick<Application, 'metadata'>): string {
	const { namespace, name } = application.metadata;
	return !namespace || namespace === homeNamespace ? name : `${namespace}_${name}`;
}

/** The key of the application that `instance` names. */
export function applicationKey(instance: string): Key {
	const mark = instance.indexOf('_');
	return mark < 0 ? `${homeNamespace}/${instance}` : `${instance.slice(0, mark)}/${instance.slice(mark + 1)}`;
}

/** The field manager that an application applies with. */
export function managerOf(application: Pick<Application, 'metadata'>): string {
	const instance = instanceOf(application);
	return instance === 'default' ? 'driftless' : `driftless:${instance}`;
}

/** `GROUP/KIND/NAMESPACE/NAME`, with `-` for the core group and for no namespace. The version does not count: objects are the same in each. */
export function idOf(object: Pick<Dynamic, 'apiVersion' | 'kind' | 'metadata'>): string {
	const { group } = parseApiVersion(object.apiVersion);
	return `${group || '-'}/${object.kind}/${object.metadata.namespace ?? '-'}/${object.metadata.name}`;
}

function trackingId(instance: string, object: Dynamic): string {
	const { group } = parseApiVersion(object.apiVersion);
	return `${instance}:${group}/${object.kind}:${object.metadata.namespace ?? ''}/${object.metadata.name}`;
}

/** The instance that the object's annotation names, where the annotation was written for this very object. */
export function trackedBy(object: Dynamic): string | undefined {
	const id = object.metadata.annotations?.[trackingAnnotation];
	if (id === undefined) return undefined;
	const instance = id.slice(0, id.indexOf(':'));
	return instance && id === trackingId(instance, object) ? instance : undefined;
}

/**
 * What the API server writes itself, and what an exported object has of it: as part of a manifest it would say that only this
 * very state of this very object may be changed.
 */
const serverSide = new Set([
	'creationTimestamp',
	'deletionGracePeriodSeconds',
	'deletionTimestamp',
	'generation',
	'managedFields',
	'resourceVersion',
	'selfLink',
	'uid',
]);

/** Undefined where the registry has no such kind. The namespace is the manifest's own, or else the destination's. */
export function desire(written: Manifest, application: Application, registry: Registry): Desired | undefined {
	const kind = registry.of(written.object.apiVersion, written.object.kind);
	if (!kind) return undefined;
	const manifest = decodedSecret(written, kind);
	const { namespace: home, ...metadata } = manifest.object.metadata;
	const namespace = kind.namespaced ? home || application.spec.destination.namespace || 'default' : undefined;
	const object: Dynamic = {
		...manifest.object,
		apiVersion: apiVersionOf(kind),
		metadata: {
			...(Object.fromEntries(Object.entries(metadata).filter(([field]) => !serverSide.has(field))) as typeof metadata),
			...(namespace === undefined ? {} : { namespace }),
		},
	};
	const tracked: Dynamic = {
		...object,
		metadata: {
			...object.metadata,
			annotations: {
				...object.metadata.annotations,
				[trackingAnnotation]: trackingId(instanceOf(application), object),
			},
		},
	};
	return { id: idOf(tracked), kind, key: keyOf(tracked), object: Object.freeze(tracked), manifest };
}
