/** What an Application may ask for and this version does not do: said, instead of done differently. Pure. */
import type { ApplicationSpec } from '../kinds/index.ts';

export function unsupported(spec: ApplicationSpec): string[] {
	const problems: string[] = [];
	const no = (field: string, instead: string) => problems.push(`spec.${field} is not supported; ${instead}`);
	if (spec.sources) no('sources', 'use one spec.source');
	if (spec.sourceHydrator) no('sourceHydrator', 'use spec.source');
	if (!spec.source && !spec.sources && !spec.sourceHydrator) problems.push('spec.source is required');
	const { source } = spec;
	if (source && !source.repoURL) problems.push('spec.source.repoURL is required');
	if (source?.chart) no('source.chart', 'render the chart and commit what it gives');
	if (source?.helm) no('source.helm', 'render the chart and commit what it gives');
	if (source?.plugin) no('source.plugin', 'commit what the plugin gives');
	if (source?.kustomize) no('source.kustomize', 'write the same into a kustomization.yaml');
	if (source?.directory?.jsonnet) no('source.directory.jsonnet', 'commit what jsonnet gives');
	const { server, name } = spec.destination;
	if (server && server !== 'https://kubernetes.default.svc')
		no('destination.server', 'leave it out, or name https://kubernetes.default.svc, this cluster');
	if (name && name !== 'in-cluster') no('destination.name', 'leave it out, or name in-cluster, this cluster');
	if (spec.ignoreDifferences?.length)
		no('ignoreDifferences', 'leave the field out of the manifest: what no manifest mentions is no drift');
	return problems;
}
