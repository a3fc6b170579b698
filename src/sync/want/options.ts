/**
 * Argo CD's sync options: which are carried out, which hold here anyway, and why the others are refused. An object's own
 * options, in its annotation, go before those of its application. Pure. Source: Argo CD, "Sync Options".
 */
import type { Dynamic } from '../../kinds/index.ts';
import { nearest } from '../../kinds/nearest.ts';

/** The annotation with comma-separated options of one object, such as `Prune=false`. */
export const optionsAnnotation = 'argocd.argoproj.io/sync-options';
/** The same for how it is compared. */
export const compareAnnotation = 'argocd.argoproj.io/compare-options';

const choice = ['true', 'false'];
const confirm = { value: 'confirm', instead: 'say false, and delete by hand what may go' };

interface Option {
	/** The values that are carried out, or that hold anyway. */
	readonly values: readonly string[];
	/** A value that Argo CD has beyond these, and what to do instead. */
	readonly unsupported?: { readonly value: string; readonly instead: string };
}

const known: Readonly<Record<string, Option>> = {
	CreateNamespace: { values: choice },
	FailOnSharedResource: { values: choice },
	PruneLast: { values: choice },
	PrunePropagationPolicy: { values: ['foreground', 'background', 'orphan'] },
	Validate: { values: choice },
	Prune: { values: choice, unsupported: confirm },
	Delete: { values: choice, unsupported: confirm },
	ClientSideApplyMigration: { values: choice },
	// Every apply is server-side, and only of what is out of sync; a kind that is not there is told before anything is applied.
	ServerSideApply: { values: choice },
	ApplyOutOfSyncOnly: { values: choice },
	RespectIgnoreDifferences: { values: choice },
	SkipDryRunOnMissingResource: { values: choice },
	Replace: {
		values: ['false'],
		unsupported: {
			value: 'true',
			instead: 'every object is applied server-side, however large; Force=true makes anew what cannot be changed',
		},
	},
	Force: { values: choice },
};

/** Why an option is not carried out; undefined where it is. */
export function optionProblem(text: string): string | undefined {
	const [name, value = ''] = split(text);
	const option = Object.hasOwn(known, name) ? known[name] : undefined;
	if (!option) {
		const near = nearest(name, Object.keys(known));
		return `there is no sync option ${name}${near ? `: did you mean ${near}?` : ''}`;
	}
	if (option.values.includes(value)) return undefined;
	return option.unsupported?.value === value
		? `the sync option ${name}=${value} is not supported; ${option.unsupported.instead}`
		: `the sync option ${name} takes one of ${option.values.join(', ')}, not ${JSON.stringify(value)}`;
}

function split(text: string): [string, string?] {
	const [name = '', value] = text.split('=', 2);
	return [name.trim(), value?.trim()];
}

/** What an object's own options say wrongly. */
export function objectOptionProblems(object: Dynamic): string[] {
	return problemsOfOptions(optionsOf(object));
}

/** The same of a list of them. Beside Force=true, as Argo CD's pages write it, Replace=true asks for nothing more. */
export function problemsOfOptions(options: readonly string[] = []): string[] {
	const forced = optionOf('Force', options) === 'true';
	return options.flatMap((text) =>
		forced && split(text).join('=') === 'Replace=true' ? [] : (optionProblem(text) ?? []),
	);
}

function optionsOf({ metadata }: Dynamic, annotation = optionsAnnotation): string[] {
	const texts = (metadata.annotations?.[annotation] ?? '').split(',');
	return texts.map((text) => text.trim()).filter((text) => text !== '');
}

/** The value of an option among these; the last one counts. */
export function optionOf(name: string, options: readonly string[] | undefined): string | undefined {
	return options?.map(split).findLast(([each]) => each === name)?.[1];
}

/** The value of an option for one object: its own, or else its application's. */
export function optionFor(object: Dynamic, name: string, options: readonly string[] | undefined): string | undefined {
	return optionOf(name, optionsOf(object)) ?? optionOf(name, options);
}

/** Whether an object that left the source counts as in sync. Source: Argo CD, "Compare Options". */
export function isExtraneous(object: Dynamic): boolean {
	return optionsOf(object, compareAnnotation).some(
		(each) => each === 'IgnoreExtraneous' || each === 'IgnoreNeedsPruning',
	);
}
