/** Folders with a kustomization, built by kustomize itself (or by the one inside kubectl), in a folder of their own files only. */
import { execFile } from 'node:child_process';
import { hash } from 'node:crypto';
import { constants } from 'node:fs';
import { access, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import type { Located, Tree } from '../source/tree.ts';
import { parseBlob } from './blob.ts';
import { type Closure, closureOf } from './closure.ts';
import { type File, type Files, identityOf } from './files.ts';
import { bytes, MAX_TOTAL_BYTES } from './limits.ts';
import { createRecent } from './recent.ts';
import type { Manifest, RenderProblem } from './render.ts';
import { at } from './scan.ts';

/** Milliseconds that one build may take. */
const BUILD_TIME = 30_000;
/** Bytes of manifests that one build may print. */
const BUILD_OUTPUT = 64 * 1024 * 1024;
/** Files in one folder and all that it builds upon. */
const MAX_CLOSURE = 5000;
/** Objects of built folders remembered. */
const BUILT_MEMORY = 50_000;

export interface Kustomizer {
	/** Builds those folders that no other one builds upon. `transient`: something failed that says nothing about the files. */
	build(
		tree: Tree,
		folders: readonly Located[],
		signal?: AbortSignal,
	): Promise<{ readonly files: readonly File[]; readonly transient: boolean }>;
}

export function createKustomizer(files: Files): Kustomizer {
	const built = createRecent<File>(BUILT_MEMORY);
	return {
		async build(tree, folders, signal) {
			const closures: Closure[] = [];
			for (const folder of folders) closures.push(await closureOf(tree, folder, signal));
			const used = new Set(closures.flatMap((closure) => [...closure.uses]));
			const results: File[] = [];
			let transient = false;
			for (const closure of closures) {
				if (used.has(closure.folder.path)) continue;
				const key = keyOf(closure);
				const known = built.get(key);
				if (known) {
					results.push(known);
					continue;
				}
				const file = await buildOne(tree, closure, files, signal);
				if (file === undefined) {
					transient = true;
					const path = closure.kustomization.path;
					results.push(failed(at(path, `kustomize took longer than ${BUILD_TIME / 1000} s, and was stopped`)));
				} else {
					built.set(key, file, 1 + file.manifests.length);
					results.push(file);
				}
			}
			return { files: results, transient };
		},
	};
}

const keyOf = ({ folder, files }: Closure) =>
	hash('sha256', [folder.path, ...files.map(({ path, id }) => `${path}\0${id}`)].join('\n'));

const failed = (...problems: RenderProblem[]): File => ({
	size: 0,
	manifests: [],
	broken: [],
	identities: [],
	problems,
	ignored: [],
});

/** Undefined where it took too long. */
async function buildOne(tree: Tree, closure: Closure, files: Files, signal?: AbortSignal): Promise<File | undefined> {
	const { kustomization, folder } = closure;
	if (closure.problems.length) return failed(...closure.problems);
	if (closure.files.length > MAX_CLOSURE) {
		return failed(
			at(kustomization.path, `it builds upon ${closure.files.length} files, more than the ${MAX_CLOSURE} it may`),
		);
	}
	const size = (await tree.sizes(closure.files, signal)).reduce((sum, one) => sum + one, 0);
	if (size > MAX_TOTAL_BYTES) {
		return failed(
			at(kustomization.path, `it builds upon ${bytes(size)}, more than the ${bytes(MAX_TOTAL_BYTES)} it may`),
		);
	}
	const directory = await mkdtemp(join(tmpdir(), 'driftless-kustomize-'));
	try {
		await materialize(tree, closure.files, directory, signal);
		const output = await run(directory, folder.path, signal);
		if (output.late) return undefined;
		if (output.error !== undefined) return failed(at(kustomization.path, output.error));
		return await origins(tree, closure, output.text, files, signal);
	} finally {
		await rm(directory, { recursive: true, force: true });
	}
}

async function materialize(
	tree: Tree,
	files: readonly Located[],
	directory: string,
	signal?: AbortSignal,
): Promise<void> {
	const contents = await tree.read(files, signal);
	for (const folder of new Set(files.map((file) => dirname(file.path))))
		await mkdir(join(directory, folder), { recursive: true });
	for (const [index, file] of files.entries()) await writeFile(join(directory, file.path), contents[index] ?? '');
}

interface Output {
	readonly text: string;
	readonly error?: string;
	readonly late?: boolean;
}

async function run(directory: string, folder: string, signal?: AbortSignal): Promise<Output> {
	const program = (await onPath('kustomize')) ?? (await onPath('kubectl'));
	if (!program)
		return {
			text: '',
			error: 'kustomize (or kubectl, which has it inside) is needed to build this, and is not installed',
		};
	const verb = program.endsWith('kubectl') ? 'kustomize' : 'build';
	// Nothing is fetched: no git to be found, and a proxy that nobody answers. Remote bases were refused before.
	const env = {
		HOME: directory,
		PATH: '',
		HTTP_PROXY: nowhere,
		HTTPS_PROXY: nowhere,
		http_proxy: nowhere,
		https_proxy: nowhere,
	};
	const options = {
		cwd: directory,
		env,
		timeout: BUILD_TIME,
		maxBuffer: BUILD_OUTPUT,
		killSignal: 'SIGKILL',
		signal,
	} as const;
	return new Promise((resolve, reject) => {
		execFile(program, [verb, join(directory, folder)], options, (error, stdout, stderr) => {
			if (!error) resolve({ text: stdout });
			else if (signal?.aborted) reject(signal.reason);
			else if (error.code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER') {
				resolve({ text: '', error: `kustomize printed more than ${bytes(BUILD_OUTPUT)}` });
			} else if (error.killed) resolve({ text: '', late: true });
			else resolve({ text: '', error: complaint(stderr || error.message, directory) });
		});
	});
}

const nowhere = 'http://127.0.0.1:9';

async function onPath(program: string): Promise<string | undefined> {
	for (const directory of (process.env.PATH ?? '').split(delimiter).filter(Boolean)) {
		const file = join(directory, program);
		if (
			await access(file, constants.X_OK).then(
				() => true,
				() => false,
			)
		)
			return file;
	}
	return undefined;
}

/** kustomize's complaint as one line, without the name of the temporary folder. */
function complaint(stderr: string, directory: string): string {
	const text = stderr
		.replace(/^E\d{4} .*?err=<?/, '')
		.replace(/^"(.*)"\s*$/s, (_, quoted: string) => quoted.replaceAll('\\"', '"'))
		.replaceAll(`${directory}/`, '')
		.replaceAll(directory, '.')
		.replace(/^\s*(?:error|Error):\s*/, '')
		.split('\n')
		.map((line) => line.trim())
		.filter((line) => line && line !== '>')
		.join(' ');
	return `kustomize: ${text.slice(0, 1000)}`;
}

/** Gives each built object the positions of the file that it came from, where that can be told; else the kustomization's. */
async function origins(tree: Tree, closure: Closure, text: string, files: Files, signal?: AbortSignal): Promise<File> {
	const built = await parseBlob(new TextEncoder().encode(text), false);
	const { path } = closure.kustomization;
	const sources = await files.load(
		tree,
		closure.files.filter((file) => /\.ya?ml$/.test(file.path) && file.path !== path),
		signal,
	);
	const byKind = Map.groupBy(
		sources.flatMap((file) => file.manifests),
		(manifest) => manifest.object.kind,
	);
	const position = { file: path, line: 1, column: 1 };
	const manifests = built.objects.map(({ object, hash }): Manifest => {
		const origin = originOf(object.metadata.name, byKind.get(object.kind) ?? []);
		if (!origin) return { object, hash, file: path, position, locate: () => position };
		return { object, hash, file: origin.file, position: origin.position, locate: (field) => origin.locate(field) };
	});
	return {
		size: text.length,
		manifests,
		broken: [],
		identities: manifests.map(identityOf),
		problems: built.faults.map(({ field, message }) => ({
			position,
			field,
			message: `in kustomize's output: ${message}`,
		})),
		ignored: [],
	};
}

/** By name; where kustomize added a prefix or suffix, by the longest name within it. */
function originOf(name: string, candidates: readonly Manifest[]): Manifest | undefined {
	let best: Manifest | undefined;
	for (const candidate of candidates) {
		const given = candidate.object.metadata.name;
		if (given === name) return candidate;
		if (name.includes(given) && given.length > (best?.object.metadata.name.length ?? 0)) best = candidate;
	}
	return best;
}
