/** Whose data directory it is. The files of pods carry no node's name: another node would take them for what is left of pods that are gone. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const fileOf = (dataDir: string) => join(dataDir, 'node-name');

/** The node that has the directory; undefined where none has. */
export async function nodeOfDataDir(dataDir: string): Promise<string | undefined> {
	return (await readFile(fileOf(dataDir), 'utf8').catch(() => '')).trim() || undefined;
}

/** Takes the directory for the node. Throws where it is another's. */
export async function claimDataDir(dataDir: string, node: string): Promise<void> {
	const owner = await nodeOfDataDir(dataDir);
	if (owner === node) return;
	if (owner)
		throw new Error(
			`the data directory ${dataDir} belongs to the node ${owner}, and this is the node ${node}: start it with --node-name ${owner}, or take that node down first with \`driftless down --node-name ${owner}\``,
		);
	await writeFile(fileOf(dataDir), `${node}\n`);
}

/** The node is taken down: the directory is any node's again. */
export async function releaseDataDir(dataDir: string, node: string): Promise<void> {
	const owner = await nodeOfDataDir(dataDir);
	if (owner === node) await rm(fileOf(dataDir), { force: true });
}
