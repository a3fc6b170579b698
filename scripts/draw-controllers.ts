/**
 * Draws the controllers as a Mermaid flowchart from what they declare (`for`, `owns`, `watches`, `indexes`, `inputs`), so that the
 * picture is never older than the code.
 *
 *   node scripts/draw-controllers.ts                        prints the block
 *   node scripts/draw-controllers.ts docs/architecture.md   puts it between the file's markers
 *   node scripts/draw-controllers.ts --check FILE           fails where the file's picture is another
 */
import { readFile, writeFile } from 'node:fs/promises';
import { type Controller, clusterControllers, declaredKinds } from '../src/reconcile/index.ts';

const BEGIN = '<!-- controllers: drawn by scripts/draw-controllers.ts -->';
const END = '<!-- end of controllers -->';

/** Every controller there is, with stand-ins for what only a running cluster has. */
function everyController(): Controller[] {
	const kubernetesService = { clusterIP: '10.96.0.1', self: { address: '10.0.0.1', port: 6443, authority: '' } };
	const nodeSigner = { nodeOf: async () => '', sign: async () => '' };
	return clusterControllers({ ca: 'CA', nodeSigner, kubernetesService, clusterDns: '10.96.0.10' });
}

/** A Mermaid flowchart: a thick arrow from the kind that a controller is for, a thin one from what it owns, a dotted one from what it reads. */
export function drawControllers(controllers: readonly Controller[]): string {
	const kinds = new Set<string>();
	const arrows: string[] = [];
	for (const controller of controllers) {
		const name = `c_${controller.name.replaceAll('-', '_')}`;
		arrows.push(`  ${name}(["${controller.name}"])`);
		const owned = new Set((controller.owns ?? []).map(({ kind }) => kind));
		for (const { kind } of declaredKinds(controller)) {
			kinds.add(kind);
			if (controller.for?.kind === kind) arrows.push(`  ${kind} ==>|for| ${name}`);
			else if (owned.has(kind)) arrows.push(`  ${kind} -->|owns| ${name}`);
			else arrows.push(`  ${kind} -.->|watches| ${name}`);
		}
		for (const input of controller.inputs ?? [])
			arrows.push(`  i_${input.name.replaceAll(/\W/g, '_')}[/"${input.name}"/] -.->|input| ${name}`);
		if (controller.everything) arrows.push(`  every[/every kind/] -.->|watches| ${name}`);
	}
	const boxes = [...kinds].sort().map((kind) => `  ${kind}["${kind}"]`);
	return ['```mermaid', 'flowchart LR', ...boxes, ...arrows, '```'].join('\n');
}

/** The document with the picture between its markers, which are put at its end where it has none. */
export function withPicture(document: string, picture: string): string {
	const block = `${BEGIN}\n\n${picture}\n\n${END}`;
	const begin = document.indexOf(BEGIN);
	const end = document.indexOf(END);
	if (begin < 0 || end < begin) return `${document.trimEnd()}\n\n${block}\n`;
	return document.slice(0, begin) + block + document.slice(end + END.length);
}

async function main(args: readonly string[]): Promise<void> {
	const picture = drawControllers(everyController());
	const check = args[0] === '--check';
	const path = check ? args[1] : args[0];
	if (!path) {
		console.log(picture);
		return;
	}
	const document = await readFile(path, 'utf8');
	const next = withPicture(document, picture);
	if (next === document) return;
	if (check) {
		console.error(
			`${path}: the picture of the controllers is not what they declare: run node scripts/draw-controllers.ts ${path}`,
		);
		process.exitCode = 1;
		return;
	}
	await writeFile(path, next);
}

if (import.meta.main) await main(process.argv.slice(2));
