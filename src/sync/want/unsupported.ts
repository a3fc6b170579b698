/** What an Application may ask for and this version does not do: said, instead of done differently. Pure. */
import type { Application, ApplicationSource, ApplicationSpec, Operation } from '../../kinds/index.ts';
import { othersOf, revisionsOf } from '../operation/request.ts';
import { isListed, sourcesOf, wrongRevisions } from '../revision.ts';
import { problemsOfOptions } from './options.ts';

/** What git does not take in the name of a branch or tag, and version ranges are made of. */
const range = /[*^~<>=|]/;
/** A name or a URL with these would be lines and colours of its own in the answer to a push, or in a log. */
const control = /\p{Cc}/u;

/** Bytes of JSON of the sources: the status, its history and an operation repeat it, and an object is bounded. */
const MAX_SOURCES_BYTES = 16_384;

export function unsupported(spec: ApplicationSpec): string[] {
	const problems: string[] = [];
	const no = (field: string, instead: string) => problems.push(`spec.${field} is not supported; ${instead}`);
	if (spec.sourceHydrator) no('sourceHydrator', 'use spec.source');
	const sources = sourcesOf({ spec });
	if (sources.length === 0 && !spec.sourceHydrator) problems.push('spec.source is required');
	problems.push(...unsupportedSources(sources, 'spec', isListed({ spec })));
	problems.push(...problemsOfOptions(spec.syncPolicy?.syncOptions));
	const { server, name } = spec.destination;
	if (server && server !== 'https://kubernetes.default.svc')
		no('destination.server', 'leave it out, or name https://kubernetes.default.svc, this cluster');
	if (name && name !== 'in-cluster') no('destination.name', 'leave it out, or name in-cluster, this cluster');
	if (spec.ignoreDifferences?.length)
		no('ignoreDifferences', 'leave the field out of the manifest: what no manifest mentions is no drift');
	return problems;
}

function unsupportedSources(sources: readonly ApplicationSource[], path: string, listed: boolean): string[] {
	const problems = sources.flatMap((source, index) =>
		unsupportedSource(source, listed ? `${path}.sources[${index}]` : `${path}.source`),
	);
	if (Buffer.byteLength(JSON.stringify(sources)) > MAX_SOURCES_BYTES) {
		const field = listed ? 'sources is longer' : 'source is longer';
		problems.push(`${path}.${field} than ${MAX_SOURCES_BYTES} bytes; use several Applications`);
	}
	return problems;
}

function unsupportedSource(source: ApplicationSource, path: string): string[] {
	const problems: string[] = [];
	const no = (field: string, instead: string) => problems.push(`${path}.${field} is not supported; ${instead}`);
	if (!source.repoURL) problems.push(`${path}.repoURL is required`);
	for (const field of ['repoURL', 'path', 'name', 'ref'] as const)
		if (control.test(source[field] ?? ''))
			problems.push(`${path}.${field} has control characters in it; leave them out`);
	if (source.chart) no('chart', 'render the chart and commit what it gives');
	if (source.helm) no('helm', 'render the chart and commit what it gives');
	if (source.plugin) no('plugin', 'commit what the plugin gives');
	if (source.kustomize) no('kustomize', 'write the same into a kustomization.yaml');
	if (source.directory?.jsonnet) no('directory.jsonnet', 'commit what jsonnet gives');
	const { targetRevision } = source;
	if (targetRevision && range.test(targetRevision))
		no(`targetRevision: the version range ${JSON.stringify(targetRevision)}`, 'name a branch, a tag or a commit');
	else problems.push(...withBlanks(targetRevision, `${path}.targetRevision`));
	return problems;
}

const withBlanks = (revision: string | undefined, field: string): string[] =>
	/[\s\p{Cc}]/u.test(revision ?? '')
		? [`${field}: ${JSON.stringify(revision)} has blanks in it, as no branch, tag or commit has`]
		: [];

/** The same of a request to sync. */
export function unsupportedOperation({ sync, initiatedBy }: Operation, application: Application): string[] {
	if (!sync) return ['the operation has no sync in it, which is the only one there is'];
	const problems: string[] = [];
	const no = (field: string, instead: string) => problems.push(`operation.sync.${field} is not supported; ${instead}`);
	const others = othersOf(sync);
	const listed = (sync.sources?.length ?? 0) > 0;
	problems.push(...unsupportedSources(others ?? [], 'operation.sync', listed));
	const revisions = revisionsOf(sync);
	// What a sync by itself has recorded is no request: it gives way where the list of sources is another one by now.
	const wrong = revisions && !initiatedBy?.automated && wrongRevisions(revisions, others ?? sourcesOf(application));
	if (wrong) problems.push(wrong);
	for (const revision of revisions ?? []) problems.push(...withBlanks(revision, 'operation.sync.revision'));
	if (sync.manifests?.length) no('manifests', 'push them');
	problems.push(...problemsOfOptions(sync.syncOptions));
	return problems;
}
