/** The options that name revisions of an application's sources, as Argo CD's command line has them. */
import { type Command, InvalidArgumentError } from 'commander';
import type { Application, ApplicationSource } from '../kinds/index.ts';
import { collect } from './options.ts';
import { UserError } from './user-error.ts';

export interface RevisionOptions {
	readonly revision?: string;
	readonly revisions?: readonly string[];
	readonly sourcePositions?: readonly number[];
}

export function revisionOptions(command: Command, what: string): Command {
	return command
		.option('--revision <revision>', what)
		.option('--revisions <revision>', 'the same of one of several sources; may be given again', collect(String))
		.option(
			'--source-positions <position>',
			'of which, in the order of --revisions: the first is 1',
			collect(position),
		);
}

function position(text: string): number {
	if (!/^[1-9]\d*$/.test(text))
		throw new InvalidArgumentError('It takes the place of a source in spec.sources, from 1.');
	return Number(text);
}

/** One for each source, those that are not named as the spec has them; undefined where none is named. Throws UserError. */
export function revisionsFor({ metadata, spec }: Application, options: RevisionOptions): string[] | undefined {
	const { revision, revisions = [], sourcePositions = [] } = options;
	const sources = spec.sources ?? [];
	if (revision !== undefined && (revisions.length > 0 || sources.length > 0))
		throw new UserError(
			sources.length > 0
				? `${metadata.name} has a list of sources: say --revisions ${revision} --source-positions N, the first is 1`
				: '--revision and --revisions are for applications of different forms; give one of them',
		);
	if (revisions.length !== sourcePositions.length)
		throw new UserError('--revisions and --source-positions belong together: give as many of one as of the other');
	if (revisions.length === 0) return revision === undefined ? undefined : [revision];
	const out = sourcePositions.find((each) => each > sources.length);
	if (out !== undefined)
		throw new UserError(`${metadata.name} has ${sources.length} in spec.sources, and none at the place ${out}`);
	return sources.map(({ targetRevision }: ApplicationSource, index) => {
		const given = sourcePositions.lastIndexOf(index + 1);
		return revisions[given] ?? targetRevision ?? 'HEAD';
	});
}
