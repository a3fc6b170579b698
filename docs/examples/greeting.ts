/** A kind and its controller, whole: docs/extend.md explains it, and a test runs it. */
import {
	builtins,
	ConfigMap,
	createRegistry,
	fieldError,
	type Kind,
	type KubeObject,
	kind,
	loadRegistry,
} from '../../src/kinds/index.ts';
import { controller } from '../../src/reconcile/index.ts';

export interface Greeting extends KubeObject {
	spec: { name: string; loud?: boolean };
}

export const Greeting: Kind<Greeting> = kind<Greeting>({
	group: 'example.com',
	version: 'v1',
	kind: 'Greeting',
	plural: 'greetings',
	shortNames: ['hi'],
	schema: 'com.example.v1.Greeting',
	defaults(greeting) {
		if (greeting.spec) greeting.spec.loud ??= false;
	},
	validate({ spec }) {
		return spec?.name ? [] : [fieldError.required('spec.name', 'a greeting is for somebody')];
	},
	health: () => ({ status: 'Healthy' }),
});

const schema = {
	type: 'object',
	properties: {
		apiVersion: { type: 'string' },
		kind: { type: 'string' },
		metadata: { $ref: '#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta' },
		spec: {
			type: 'object',
			properties: { name: { type: 'string' }, loud: { type: 'boolean' } },
		},
	},
} as const;

/** The built-in kinds, and this one. */
export const registry = createRegistry([...builtins, Greeting], {
	...loadRegistry().schemas,
	[Greeting.schema]: schema,
});

/** Keeps a ConfigMap with the words of each Greeting. */
export const greeter = controller<Greeting>({
	name: 'greeter',
	for: Greeting,
	owns: [ConfigMap],
	async reconcile(key, { cache, client }) {
		const greeting = cache.informer(Greeting).get(key);
		if (!greeting || greeting.metadata.deletionTimestamp) return undefined;
		const { name, namespace, uid = '' } = greeting.metadata;
		const words = `Hello, ${greeting.spec.name}${greeting.spec.loud ? '!' : '.'}`;
		const owner = { apiVersion: 'example.com/v1', kind: 'Greeting', name, uid, controller: true };
		const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace, ownerReferences: [owner] } };
		await client.patch(
			ConfigMap,
			{ name, namespace },
			{ type: 'apply', body: { ...body, data: { words } }, force: true },
			{ fieldManager: 'greeter' },
		);
		return undefined;
	},
});
