/**
 * What objects are, in Prometheus' form and under the names of kube-state-metrics, from the caches of this server. Made a piece at a
 * time, so that a large cluster keeps nobody else waiting.
 */
import { setImmediate as turn } from 'node:timers/promises';
import type { Client } from '../../client/index.ts';
import { Application, type Registry } from '../../kinds/index.ts';
import { labelled } from '../../metrics.ts';
import { clusterSeries } from './cluster.ts';
import { podSeries } from './pods.ts';
import { info, type Observed, observed } from './series.ts';
import { workloadSeries } from './workloads.ts';

/** Source: Argo CD documentation, "Metrics", "Application Controller Metrics". */
const applicationSeries = observed<Application>(
	Application,
	[
		info('argocd_app_info', 'Where an application comes from, and how it stands.', ({ spec, status, operation }) => {
			const { syncPolicy, destination, project } = spec;
			return {
				project,
				repo: withoutCredentials((spec.source ?? spec.sources?.[0])?.repoURL),
				dest_server: destination.server,
				dest_namespace: destination.namespace,
				sync_status: status?.sync?.status ?? 'Unknown',
				health_status: status?.health?.status ?? 'Unknown',
				autosync_enabled: String(Boolean(syncPolicy?.automated)),
				operation: operation ? 'sync' : '',
			};
		}),
	],
	({ metadata: { namespace = '', name } }) => ({ namespace, name }),
);

/** A URL without the name and the password that it may have; what is none stays as it is. */
function withoutCredentials(text = ''): string {
	const url = URL.parse(text);
	if (!url || (!url.username && !url.password)) return text;
	url.username = '';
	url.password = '';
	return url.href;
}

/** Milliseconds that are worked on at a stretch. */
const STRETCH_MS = 5;
/** Characters of a piece. */
const PIECE = 64 * 1024;

const observations: readonly Observed[] = [podSeries, ...workloadSeries, ...clusterSeries, applicationSeries];

/** The text, in pieces. */
export async function* stateText(client: Client): AsyncGenerator<string> {
	let began = performance.now();
	for (const { kind, series } of observations) {
		if (!isServed(client.registry, kind)) continue;
		const { items } = await client.list(kind, { resourceVersion: '0' });
		for (const { name, help, type, samples } of series) {
			let text = '';
			let begun = false;
			for (const object of items) {
				for (const [labels, value] of samples(object)) {
					if (!begun) text = `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
					begun = true;
					const named = labelled(labels);
					text += named ? `${name}{${named}} ${value}\n` : `${name} ${value}\n`;
				}
				if (text.length > PIECE) {
					yield text;
					text = '';
				}
				if (performance.now() - began > STRETCH_MS) {
					await turn();
					began = performance.now();
				}
			}
			if (text !== '') yield text;
		}
	}
}

const isServed = (registry: Registry, { group, version, plural }: Observed['kind']) =>
	registry.resource(group, version, plural) !== undefined;
