/** The pages that are checked, in the order in which a reader goes through them and their commands are run. */
import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Page, parsePage } from './markdown.ts';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** Pages with commands go on where the page before has stopped. A page that is not named comes last. */
const order = [
	'README.md',
	'docs/install.md',
	'docs/push.md',
	'docs/drift.md',
	'docs/workloads.md',
	'docs/sets.md',
	'docs/scaling.md',
	'docs/monitoring.md',
	'docs/volumes.md',
	'docs/policies.md',
	'docs/network.md',
	'docs/operate.md',
	'docs/security.md',
	'docs/extend.md',
	'docs/architecture.md',
	'docs/troubleshooting.md',
];

export function readPage(path: string): Page {
	return parsePage(path, readFileSync(join(root, path), 'utf8'));
}

/** Every page, decisions and the change log too. */
export async function allPages(): Promise<Page[]> {
	const found = (await readdir(join(root, 'docs'), { recursive: true }))
		.filter((name) => name.endsWith('.md'))
		.map((name) => `docs/${name}`);
	const paths = [...new Set([...order, 'CHANGELOG.md', 'manifests-example/README.md', ...found.sort()])];
	return paths.map(readPage);
}

/** Those whose blocks are run: README and docs/, less the decisions. */
export async function runPages(): Promise<Page[]> {
	const pages = await allPages();
	return pages.filter(({ path }) => path === 'README.md' || /^docs\/[^/]+\.md$/.test(path));
}
