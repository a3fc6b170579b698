/** A registry of a few kinds with the real schemas, so that these tests do not depend on what the kinds declare. */
import { kind } from '../../../src/kinds/declare.ts';
import { createRegistry } from '../../../src/kinds/registry.ts';
import type { Schema } from '../../../src/kinds/schema.ts';
import { loadSchemas } from '../../../src/kinds/schemas.ts';

export const Pod = kind({
	group: '',
	version: 'v1',
	kind: 'Pod',
	plural: 'pods',
	shortNames: ['po'],
	categories: ['all'],
	schema: 'io.k8s.api.core.v1.Pod',
	subresources: { status: true, actions: ['log', 'exec', 'binding', 'eviction'] },
});

export const Namespace = kind({
	group: '',
	version: 'v1',
	kind: 'Namespace',
	plural: 'namespaces',
	namespaced: false,
	deleteCollection: false,
	schema: 'io.k8s.api.core.v1.Namespace',
});

export const Deployment = kind({
	group: 'apps',
	version: 'v1',
	kind: 'Deployment',
	plural: 'deployments',
	shortNames: ['deploy'],
	categories: ['all'],
	schema: 'io.k8s.api.apps.v1.Deployment',
	subresources: {
		status: true,
		scale: { spec: '.spec.replicas', status: '.status.replicas', selector: '.spec.selector' },
	},
	columns: [
		{
			name: 'Desired',
			type: 'integer',
			description: 'How many.',
			priority: 0,
			cell: (object) => Number(Reflect.get(Reflect.get(object, 'spec') ?? {}, 'replicas') ?? 0),
		},
		{
			name: 'Seconds',
			type: 'integer',
			description: 'How old.',
			priority: 1,
			cell: ({ metadata }, now) => (now - Date.parse(metadata.creationTimestamp ?? '')) / 1000,
		},
	],
});

const Widget = (version: string) =>
	kind({
		group: 'example.com',
		version,
		kind: 'Widget',
		plural: 'widgets',
		schema: 'com.example.Widget',
		subresources: { status: true },
	});

const widget: Schema = {
	type: 'object',
	description: 'A widget of a custom group.',
	properties: {
		spec: {
			type: 'object',
			description: 'What it shall be.',
			required: ['size'],
			properties: { size: { type: 'integer', format: 'int32', description: 'How big it is.' } },
		},
	},
};

const kinds = [Namespace, Pod, Deployment, Widget('v1beta1'), Widget('v1'), Widget('v1alpha1')];

export const registry = createRegistry(kinds, { ...loadSchemas(), 'com.example.Widget': widget });
