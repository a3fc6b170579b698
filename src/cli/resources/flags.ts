/** kubectl's flags as options of commander. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { collect } from '../options.ts';

/** A switch that may also be given with its value (`--wait=false`), and that never takes the next word for it, as in Go programs. */
export function flag(command: Command, flags: string, description: string, initial?: boolean): Command {
	const option = new Option(flags, description);
	if (initial !== undefined) option.default(initial);
	return withValues(command, option, { true: true, false: false });
}

/** A switch with choices: alone it means `bare`, and a choice is given behind an equals sign (`--cascade=orphan`). */
export function choice(
	command: Command,
	flags: string,
	description: string,
	choices: readonly string[],
	bare: string,
): Command {
	const option = new Option(flags, `${description}; =${choices.join(', =')} (alone: ${bare})`).preset(bare);
	return withValues(command, option, Object.fromEntries(choices.map((each) => [each, each])));
}

/** commander would take the next word as the value of an option with an optional one, so each value is an option of its own. */
function withValues(command: Command, option: Option, values: Readonly<Record<string, unknown>>): Command {
	command.addOption(option);
	for (const [text, value] of Object.entries(values)) {
		const given = new Option(`${option.long}=${text}`).implies({ [option.attributeName()]: value });
		command.addOption(given.hideHelp());
	}
	return command;
}

/** -f, several times or with commas. */
export function filenames(command: Command, what: string): Command {
	return flag(
		command
			.option('-f, --filename <file>', `${what}: a file, a folder, a URL, or - for standard input`, collectWords)
			.option('-k, --kustomize <dir>', 'a folder with a kustomization'),
		'-R, --recursive',
		'with a folder: its sub-folders too',
	);
}

/** Gathers words that come in several options, or in one with commas. */
export function collectWords(text: string, before: readonly string[] = []): string[] {
	return [...before, ...text.split(',').filter((word) => word !== '')];
}

export const collectTexts = collect((text) => text);

export function wholeNumber(text: string): number {
	if (!/^-?\d{1,15}$/.test(text)) throw new InvalidArgumentError('It takes a whole number.');
	return Number(text);
}

/** Go's durations: `90s`, `1h30m`, `1.5h`. In seconds, rounded up, at least 1. */
export function goDuration(text: string): number {
	const units: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600 };
	if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text))
		throw new InvalidArgumentError('It takes a duration such as 90s, 5m or 1h30m.');
	let seconds = 0;
	for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g))
		seconds += Number(number) * (units[unit ?? ''] ?? 0);
	return Math.max(1, Math.ceil(seconds));
}
