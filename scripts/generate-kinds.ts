/**
 * Makes src/kinds/builtins.generated.ts: the list of the built-in kinds, found in the files of src/kinds/*\/ that declare
 * one (`export const NAME: Kind<NAME> = ...`). So a kind is added by writing its file, and by nothing else.
 *
 * `node scripts/generate-kinds.ts` does nothing where the file is up to date.
 */
import { globSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('../src/kinds/', import.meta.url));
const target = `${folder}builtins.generated.ts`;

const found = globSync('*/*.ts', { cwd: folder }).flatMap((file) =>
	[...readFileSync(folder + file, 'utf8').matchAll(/^export const (\w+): Kind<\1>/gm)].map(([, name = '']) => ({
		name,
		file,
	})),
);
/** Core first: a type that two groups use is named after the group that has it first. */
const group = (file: string) => (file.startsWith('core/') ? '' : dirname(file));
found.sort((a, b) => order(group(a.file), group(b.file)) || order(a.name, b.name));

const text = `/** Made by scripts/generate-kinds.ts from the files that declare a kind. */
import type { Kind } from './kind.ts';
${found.map(({ name, file }) => `import { ${name} } from './${file}';`).join('\n')}

export { ${found.map(({ name }) => name).join(', ')} };

/** The kinds that every server has. */
export const builtins: readonly Kind[] = [${found.map(({ name }) => name).join(', ')}];
`;
if (read() !== text) {
	// Renamed into place: a reader sees the whole old or the whole new file.
	const temporary = `${target}.${process.pid}`;
	writeFileSync(temporary, text);
	renameSync(temporary, target);
}

function read(): string | undefined {
	try {
		return readFileSync(target, 'utf8');
	} catch {
		return undefined;
	}
}

function order(a: string, b: string): number {
	return a < b ? -1 : a > b ? 1 : 0;
}
