/** Folders with a kustomization, built by kustomize itself (or by the one inside kubectl), in a folder of their own files only. */
import { execFile } from 'node:child_process';
import { hash } from 'node:crypto';
import { constants } from 'node:fs';
import { access, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import pLimit from 'p-limit';
import type { Located, Tree } from '../source/tree.ts';
import { type Closure, closureOf } from './closure.ts';
import type { File, Files } from './files.ts';
import { bytes, MAX_TOTAL_BYTES } from './limits.ts';
import { askForOrigins, withOrigins } from './origins.ts';
import { createRecent } from './recent.ts';
import type { RenderProblem } from './render.ts';
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
	/** Builds those folders that no other one builds upon, and those that build upon themselves. `transient`: something failed that says nothing about the files. */
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
			let transient = false;
			const limit = pLimit(availableParallelism());
			const one = async (closure: Closure): Promise<File> => {
				const key = keyOf(closure);
				const known = built.get(key);
				if (known) return known;
				const file = await buildOne(tree, closure, files, signal);
				if (file) built.set(key, file, 1 + file.manifests.length);
				else transient = true;
				const late = `kustomize took longer than ${BUILD_TIME / 1000} s, and was stopped`;
				return file ?? failed(at(closure.kustomization.path, late));
			};
			// In a circle nobody is outermost: kustomize says of each what is wrong.
			const wanted = closures.filter(({ folder, uses }) => !used.has(folder.path) || uses.has(folder.path));
			const results = await Promise.all(wanted.map((closure) => limit(one, closure)));
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
		const asked = await askForOrigins(join(directory, kustomization.path));
		const output = await run(directory, folder.path, signal);
		if (output.late) return undefined;
		if (output.error !== undefined) return failed(at(kustomization.path, output.error));
		return await withOrigins(tree, closure, { text: output.text, asked }, files, signal);
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
	const [command = program, ...before] = [...(await withoutNetwork()), program];
	// Nothing is fetched: no git to be found, and a proxy that nobody answers. What is remote was refused before.
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
		execFile(command, [...before, verb, join(directory, folder)], options, (error, stdout, stderr) => {
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

/** What starts a program in a network namespace of its own, where this user may make one: then it reaches nothing at all. */
const withoutNetwork = once(async (): Promise<readonly string[]> => {
	const unshare = await onPath('unshare');
	for (const how of [['--net'], ['--user', '--map-root-user', '--net']]) {
		if (unshare && (await succeeds(unshare, [...how, '--', '/bin/true']))) return [unshare, ...how, '--'];
	}
	return [];
});

function once<T>(make: () => Promise<T>): () => Promise<T> {
	let made: Promise<T> | undefined;
	return () => {
		made ??= make();
		return made;
	};
}

const succeeds = (program: string, args: readonly string[]) =>
	new Promise<boolean>((resolve) => {
		execFile(program, args, (error) => resolve(!error));
	});

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
