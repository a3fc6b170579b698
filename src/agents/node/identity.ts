/** Whose data directory it is. The files of pods carry no node's name: another node would take them for what is left of pods that are gone. */
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const fileOf = (dataDir: string) => join(dataDir, 'node-name');

/** The node that has the directory; undefined where none has. */
export async function nodeOfDataDir(dataDir: string): Promise<string | undefined> {
	return (await readFile(fileOf(dataDir), 'utf8').catch(() => '')).trim() || undefined;
}

/** Throws where the directory is another node's. */
export async function refuseOtherNode(dataDir: string, node: string): Promise<void> {
	const owner = (await nodeOfDataDir(dataDir)) ?? node;
	if (owner !== node)
		throw new Error(
			`the data directory ${dataDir} belongs to the node ${owner}, and this is the node ${node}: start it with --node-name ${owner}, or take that node down first with \`driftless down --node-name ${owner}\``,
		);
}

/** Takes the directory for the node. Throws where it is another's. */
export async function claimDataDir(dataDir: string, node: string): Promise<void> {
	await refuseOtherNode(dataDir, node);
	await writeFile(fileOf(dataDir), `${node}\n`);
}

/** What a node's pods run on; `simulated` runs nothing. */
export const ENGINES = ['docker', 'simulated'] as const;
export type EngineKind = (typeof ENGINES)[number];

const simulatedMark = (dataDir: string) => join(dataDir, 'simulated');

export const engineOfDataDir = (dataDir: string): EngineKind =>
	existsSync(simulatedMark(dataDir)) ? 'simulated' : 'docker';

/**
 * Takes the directory for an engine of the kind. Throws where its node has one of the other kind: what runs there would run
 * on, and nobody would know of it.
 */
export async function claimEngine(dataDir: string, kind: EngineKind): Promise<void> {
	const before = engineOfDataDir(dataDir);
	if (before === kind) return;
	if (before === 'simulated' || (await nodeOfDataDir(dataDir)) !== undefined)
		throw new Error(
			`the engine of the data directory ${dataDir} is ${before}: start it with --engine ${before}, take another --data-dir, or take its node down first with \`driftless down\``,
		);
	await mkdir(dataDir, { recursive: true, mode: 0o711 });
	await writeFile(simulatedMark(dataDir), '');
}

/** The node is taken down: the directory is any node's again. */
export async function releaseDataDir(dataDir: string, node: string): Promise<void> {
	const owner = await nodeOfDataDir(dataDir);
	if (owner !== undefined && owner !== node) return;
	for (const file of [fileOf(dataDir), simulatedMark(dataDir)]) await rm(file, { force: true });
}
