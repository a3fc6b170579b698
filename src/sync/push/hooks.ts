/**
 * The hooks of an embedded repository. They hold no logic: they hand the push to the server that started git, through two
 * descriptors it inherited (3 asks, 4 answers), print what comes back and exit as told. No program is started per push.
 * When the server dies, its ends of the descriptors close with it, so that a hook ends too, and refuses.
 */
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RefChange } from '../source/index.ts';

/** Set for git children that have the descriptors. */
export const PUSH_VARIABLE = 'DRIFTLESS_PUSH';

/**
 * What a hook asks. Lines: the hook's name, the quarantine, push options, the references, `end`. `update` asks for one
 * reference, when the objects are in the repository and the reference has not moved yet.
 */
export interface Question {
	readonly hook: 'pre-receive' | 'update' | 'post-receive';
	/** GIT_OBJECT_DIRECTORY and its like: what git needs to see the pushed objects. */
	readonly environment: Readonly<Record<string, string>>;
	readonly options: readonly string[];
	readonly updates: readonly RefChange[];
}

const script = (hook: Question['hook'], lost: string) => `#!/bin/sh
# Written by driftless at each start: changes are lost. See docs/decisions/0007-push.md.
if [ -z "$${PUSH_VARIABLE}" ]; then
	echo 'driftless answers pushes over HTTP only: push to the URL that "driftless remote" prints' >&2
	exit 1
fi
newline='
'
ask() { case $2 in *"$newline"*) ;; *) printf '%s %s\\n' "$1" "$2" >&3 ;; esac; }
ask hook ${hook}
ask objects "$GIT_OBJECT_DIRECTORY"
ask alternates "$GIT_ALTERNATE_OBJECT_DIRECTORIES"
ask quarantine "$GIT_QUARANTINE_PATH"
index=0
while [ "$index" -lt "\${GIT_PUSH_OPTION_COUNT:-0}" ]; do
	eval "value=\\$GIT_PUSH_OPTION_$index"
	ask option "$value"
	index=$((index + 1))
done
[ $# = 3 ] && ask update "$2 $3 $1"
while read -r before after ref; do ask update "$before $after $ref"; done
ask end ''
while IFS= read -r line <&4; do
	case $line in
	'accept') exit 0 ;;
	'refuse') exit 1 ;;
	*) printf '%s\\n' "\${line# }" ;;
	esac
done
echo '${lost}' >&2
exit 1
`;

const hooks: Readonly<Record<Question['hook'], string>> = {
	'pre-receive': script(
		'pre-receive',
		'driftless stopped before it had checked the push: nothing is changed; push again',
	),
	update: script('update', 'driftless stopped before the push was stored; push again'),
	'post-receive': script(
		'post-receive',
		'driftless stopped; the push is stored, and is applied when driftless runs again',
	),
};

/** Writes the hooks into a repository, each at once, so that a push under way keeps the one it has. */
export async function installHooks(gitdir: string): Promise<void> {
	const directory = join(gitdir, 'hooks');
	await mkdir(directory, { recursive: true });
	for (const [name, text] of Object.entries(hooks)) {
		const file = join(directory, name);
		if ((await readFile(file, 'utf8').catch(() => '')) === text) continue;
		await writeFile(`${file}.new`, text);
		await chmod(`${file}.new`, 0o755);
		await rename(`${file}.new`, file);
	}
}

/** Splits what hooks ask into questions, however it is cut into chunks; keep one for each push. What is no UTF-8 becomes U+FFFD. */
export function createQuestionReader(): (chunk: Uint8Array) => Question[] {
	const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
	let rest = '';
	let lines: string[] = [];
	return (chunk) => {
		const questions: Question[] = [];
		const all = (rest + decoder.decode(chunk, { stream: true })).split('\n');
		rest = all.pop() ?? '';
		for (const line of all) {
			if (line.trimEnd() === 'end') {
				questions.push(parseQuestion(lines));
				lines = [];
			} else lines.push(line);
		}
		return questions;
	};
}

const none = /^0+$/;

function parseQuestion(lines: readonly string[]): Question {
	const environment: Record<string, string> = {};
	const options: string[] = [];
	const updates: RefChange[] = [];
	let hook: Question['hook'] = 'pre-receive';
	for (const line of lines) {
		const space = line.indexOf(' ');
		const value = line.slice(space + 1);
		switch (line.slice(0, space)) {
			case 'hook':
				if (value in hooks) hook = value as Question['hook'];
				break;
			case 'objects':
				if (value) environment.GIT_OBJECT_DIRECTORY = value;
				break;
			case 'alternates':
				if (value) environment.GIT_ALTERNATE_OBJECT_DIRECTORIES = value;
				break;
			case 'quarantine':
				if (value) environment.GIT_QUARANTINE_PATH = value;
				break;
			case 'option':
				options.push(value);
				break;
			case 'update': {
				const [before = '', after = '', ...ref] = value.split(' ');
				const id = (text: string) => (none.test(text) ? undefined : text);
				updates.push({ ref: ref.join(' '), before: id(before), after: id(after) });
			}
		}
	}
	return { hook, environment, options, updates };
}
