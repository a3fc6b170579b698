/** All of a commit of 1,000 files, read from a bare repository: through the long-lived cat-file, and through isomorphic-git in place. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import isomorphic from 'isomorphic-git';
import { openRepository } from '../src/sync/git/index.ts';
import type { Located, Tree } from '../src/sync/source/index.ts';
import { createWorkTree } from '../test/testbed/git.ts';
import { median } from './figures/figures.ts';

const FILES = 1000;
const RUNS = 9;

await using work = await createWorkTree();
const file = (i: number) =>
	`apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c-${i}\ndata:\n  text: ${'x'.repeat(600)}\n`;
await work.commit(Object.fromEntries(Array.from({ length: FILES }, (_, i) => [`team-${i % 20}/c-${i}.yaml`, file(i)])));
await work.git('gc', '--quiet');
const gitdir = join(work.directory, '.git');

async function filesOf(tree: Tree, folder: Located): Promise<Located[]> {
	const found: Located[] = [];
	for (const { name, kind, id } of await tree.list(folder)) {
		const inner = { path: folder.path ? `${folder.path}/${name}` : name, id };
		if (kind === 'directory') found.push(...(await filesOf(tree, inner)));
		else found.push(inner);
	}
	return found;
}

async function byCatFile(): Promise<number> {
	await using repository = openRepository(gitdir);
	const tree = await repository.tree('HEAD');
	const files = await filesOf(tree, { path: '', id: tree.id });
	await tree.sizes(files);
	return (await tree.read(files)).length;
}

async function byIsomorphic(): Promise<number> {
	const contents: Uint8Array[] = await isomorphic.walk({
		fs,
		gitdir,
		cache: {},
		trees: [isomorphic.TREE({ ref: 'HEAD' })],
		map: async (_, [entry]) => ((await entry?.type()) === 'blob' ? await entry?.content() : undefined),
		reduce: async (parent: Uint8Array | undefined, children: (Uint8Array | Uint8Array[])[]) => [
			...(parent ? [parent] : []),
			...children.flat(),
		],
	});
	return contents.length;
}

for (const [name, read] of [
	['git cat-file, child started anew each time', byCatFile],
	['isomorphic-git, in process', byIsomorphic],
] as const) {
	const times: number[] = [];
	for (let run = 0; run < RUNS; run++) {
		const start = performance.now();
		if ((await read()) !== FILES) throw new Error(`${name} did not read all`);
		times.push(performance.now() - start);
	}
	console.log(`${name.padEnd(46)} ${median(times).toFixed(1)} ms for ${FILES} files`);
}
