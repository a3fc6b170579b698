/** Objects for the tests of the API, and how to read what comes out of it. */
import type { WatchEvent } from '../../src/api/index.ts';
import type { KubeObject } from '../../src/kinds/index.ts';

export const pod = (name: string, extra: Record<string, unknown> = {}) => ({
	apiVersion: 'v1',
	kind: 'Pod',
	metadata: { name, labels: { app: name } },
	spec: { containers: [{ name: 'main', image: 'example/app:1' }], ...extra },
});

export const configMap = (name: string, data: Record<string, string> = {}, metadata: Record<string, unknown> = {}) => ({
	apiVersion: 'v1',
	kind: 'ConfigMap',
	metadata: { name, ...metadata },
	data,
});

export const deployment = (name: string, replicas = 1) => ({
	apiVersion: 'apps/v1',
	kind: 'Deployment',
	metadata: { name },
	spec: {
		replicas,
		selector: { matchLabels: { app: name } },
		template: {
			metadata: { labels: { app: name } },
			spec: { containers: [{ name: 'main', image: 'example/app:1' }] },
		},
	},
});

export const service = (name: string, spec: Record<string, unknown> = {}) => ({
	apiVersion: 'v1',
	kind: 'Service',
	metadata: { name },
	spec: { selector: { app: name }, ports: [{ port: 80 }], ...spec },
});

/** The first `count` events of a watch in short form: `ADDED a`, `BOOKMARK`. */
export async function take(events: AsyncIterable<readonly WatchEvent[]>, count: number): Promise<string[]> {
	const seen: string[] = [];
	for await (const batch of events) {
		for (const event of batch) {
			seen.push(
				event.type === 'BOOKMARK'
					? `BOOKMARK${event.initialEventsEnd ? ' end' : ''}`
					: `${event.type} ${event.stored.object.metadata.name}`,
			);
		}
		if (seen.length >= count) break;
	}
	return seen;
}

export const names = (items: readonly { readonly object: KubeObject }[]) =>
	items.map(({ object }) => object.metadata.name);

/** The text of stored bytes. */
export const textOf = (bytes: Uint8Array) => Buffer.from(bytes).toString();
