/** The files of a node's static pods: read at the start, at each change, and now and then. A broken one is told of once. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { watch } from 'chokidar';
import type { Pod } from '../../kinds/index.ts';
import type { Log } from '../../log.ts';
import type { Wheel } from '../wheel.ts';
import { MAX_BYTES, readStaticPod } from './read.ts';

/** A look without a change that was told of. As the kubelet's `fileCheckFrequency`. */
const LOOK_MS = 20_000;
/** What is written in several steps is read when they are over. */
const SETTLE_MS = 200;
/** Files beyond this are not read. */
export const MAX_FILES = 500;

export interface StaticFilesOptions {
	/** A folder, or one file. */
	readonly path: string;
	readonly node: string;
	readonly now: () => number;
	readonly wheel: Wheel;
	readonly log: Log;
	readonly signal: AbortSignal;
	/** An event about the node. */
	readonly tell: (reason: string, message: string) => void;
	/** The pods that the files say now. */
	readonly changed: (pods: readonly Pod[]) => void;
}

export interface StaticFiles {
	/** Settles when the files were read for the first time. */
	readonly read: Promise<void>;
	/** Settles when nothing is read or watched any more. */
	idle(): Promise<void>;
}

export function followStaticFiles(options: StaticFilesOptions): StaticFiles {
	const { path, node, now, wheel, log, signal, tell, changed } = options;
	/** By file: what it said when it was last right. */
	let last = new Map<string, { readonly text: string; readonly pod: Pod | undefined }>();
	const told = new Map<string, string>();
	let reading: Promise<void> = Promise.resolve();
	let waiting = false;

	const complain = (file: string, cause: string) => {
		if (told.get(file) === cause) return;
		told.set(file, cause);
		log.warn({ file, cause }, 'a static pod cannot be read: what it was before goes on');
		tell('InvalidStaticPod', `The static pod of ${file} cannot be read: ${cause}`);
	};
	const look = async () => {
		const next: typeof last = new Map();
		const names = new Map<string, string>();
		let files: readonly string[];
		try {
			files = await list(path);
			told.delete(path);
		} catch (error) {
			// A folder that cannot be read is no empty one.
			complain(path, (error as Error).message);
			return;
		}
		for (const file of files) {
			const before = last.get(file);
			try {
				const text = await readText(file);
				const pod = text === before?.text && before.pod ? before.pod : readStaticPod(text, { file, node, now: now() });
				const name = `${pod.metadata.namespace}/${pod.metadata.name}`;
				const other = names.get(name);
				if (other) throw new Error(`its pod has the name of that of ${other}`);
				names.set(name, file);
				next.set(file, { text, pod });
				told.delete(file);
			} catch (error) {
				if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue;
				complain(file, (error as Error).message);
				if (before) next.set(file, before);
			}
		}
		last = next;
		changed([...next.values()].flatMap(({ pod }) => (pod ? [pod] : [])));
	};
	const again = () => {
		if (waiting || signal.aborted) return;
		waiting = true;
		wheel.after(SETTLE_MS, () => {
			waiting = false;
			reading = reading.then(look);
		});
	};
	const nowAndThen = () => {
		if (signal.aborted) return;
		again();
		wheel.after(LOOK_MS, nowAndThen);
	};
	reading = look();
	const read = reading;
	const watcher = watch(path, { ignoreInitial: true, depth: 0 }).on('all', again).on('error', again);
	wheel.after(LOOK_MS, nowAndThen);
	const closed = Promise.withResolvers<void>();
	const close = () => void watcher.close().then(closed.resolve, closed.reject);
	if (signal.aborted) close();
	else signal.addEventListener('abort', close, { once: true });
	return {
		read,
		async idle() {
			await reading;
			if (signal.aborted) await closed.promise;
		},
	};
}

async function list(path: string): Promise<readonly string[]> {
	if (!(await stat(path)).isDirectory()) return [path];
	const entries = await readdir(path, { withFileTypes: true });
	const files = entries.filter((entry) => !entry.isDirectory() && /^[^.].*\.(ya?ml|json)$/.test(entry.name));
	if (files.length > MAX_FILES) throw new Error(`it has ${files.length} files: at most ${MAX_FILES} are read`);
	return files.map(({ name }) => join(path, name)).sort();
}

async function readText(file: string): Promise<string> {
	const { size } = await stat(file);
	if (size > MAX_BYTES) throw new Error(`it is larger than ${MAX_BYTES} bytes`);
	return readFile(file, 'utf8');
}
