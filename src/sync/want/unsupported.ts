/** What an Application may ask for and this version does not do: said, instead of done differently. Pure. */
import type { ApplicationSpec, Operation } from '../../kinds/index.ts';
import { optionProblem } from './options.ts';

/** What git does not take in the name of a branch or tag, and version ranges are made of. */
const range = /[*^~<>=|\s]/;

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
	if (source?.targetRevision && range.test(source.targetRevision))
		no(
			`source.targetRevision: the version range ${JSON.stringify(source.targetRevision)}`,
			'name a branch, a tag or a commit',
		);
	problems.push(...(spec.syncPolicy?.syncOptions ?? []).flatMap((option) => optionProblem(option) ?? []));
	const { server, name } = spec.destination;
	if (server && server !== 'https://kubernetes.default.svc')
		no('destination.server', 'leave it out, or name https://kubernetes.default.svc, this cluster');
	if (name && name !== 'in-cluster') no('destination.name', 'leave it out, or name in-cluster, this cluster');
	if (spec.ignoreDifferences?.length)
		no('ignoreDifferences', 'leave the field out of the manifest: what no manifest mentions is no drift');
	return problems;
}

/** The same of a request to sync. */
export function unsupportedOperation({ sync }: Operation): string[] {
	if (!sync) return ['the operation has no sync in it, which is the only one there is'];
	const problems: string[] = [];
	const no = (field: string, instead: string) => problems.push(`operation.sync.${field} is not supported; ${instead}`);
	if (sync.manifests?.length) no('manifests', 'push them');
	if (sync.source) no('source', 'change the spec.source of the application, or name a revision');
	if (sync.sources?.length || sync.revisions?.length) no('sources', 'there is one, spec.source');
	if (sync.syncStrategy?.apply?.force || sync.syncStrategy?.hook?.force)
		no('syncStrategy: force', 'delete by hand what must be made anew');
	problems.push(...(sync.syncOptions ?? []).flatMap((option) => optionProblem(option) ?? []));
	return problems;
}
