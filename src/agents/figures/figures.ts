/**
 * What runs uses, read of the kernel where it runs on this machine, else asked of the engine. A reading costs a few files; what
 * does not change (where the files lie) is found once for each process.
 */
import { readFileSync } from 'node:fs';
import pLimit from 'p-limit';
import { type Engine, EngineError, type Part } from '../engine/index.ts';
import { type GroupFiles, groupFiles } from './files.ts';
import { type Group, groupOf, type Hierarchies, parentOf, parseHierarchies } from './groups.ts';
import { parseInterfaces } from './interfaces.ts';
import { type Details, type Figures, readDetails, readGroup } from './read-group.ts';

/** Readings that the engine is asked for at once: each is a request. */
const PARALLEL_READINGS = 8;
/** A rate is one of at least so long, so that a tick of the clock does not make it. */
const MIN_RATE_MS = 500;

export interface FigureReader {
	/**
	 * What a running part uses; undefined where it does not run or cannot be read. `annotations` are its pod's as they are now. A
	 * sandbox has the figures of the pod's network.
	 */
	read(part: Part, annotations: Readonly<Record<string, string>>): Promise<Figures | undefined>;
	/** Details of a running part; undefined where the engine alone can be asked. */
	details(part: Part): Details | undefined;
	/** The name of the part's group; undefined as with `details`. */
	path(part: Part): string | undefined;
	/** Of the group of a sandbox's whole pod; undefined where it has none of its own, or it cannot be read. */
	pod(sandbox: Part): PodFigures | undefined;
	/** Nanoseconds of processor time a second since the reading before; undefined at the first. `key` is whose. */
	rate(key: string, at: number, cpuNanoseconds: number): number | undefined;
	/** Forgets all but these keys. */
	keep(keys: ReadonlySet<string>): void;
}

export interface PodFigures {
	readonly figures: Figures;
	readonly path: string;
	details(): Details | undefined;
}

interface Rate {
	readonly at: number;
	readonly cpu: number;
	readonly rate?: number;
}

const readText = (path: string): string | undefined => {
	try {
		return readFileSync(path, 'utf8');
	} catch {
		return undefined;
	}
};

export function createFigures(engine: Engine, now: () => number): FigureReader {
	let hierarchies: Hierarchies | undefined | 'unknown' = 'unknown';
	/** By id, those of parts; by uid, those of whole pods. */
	const known = new Map<string, { readonly pid: number; readonly files: GroupFiles | undefined }>();
	const rates = new Map<string, Rate>();
	const limit = pLimit(PARALLEL_READINGS);

	const remember = (key: string, pid: number, group: Group | undefined): GroupFiles | undefined => {
		known.get(key)?.files?.[Symbol.dispose]();
		const files = group && groupFiles(group);
		known.set(key, { pid, files });
		return files;
	};
	const find = (part: Part): GroupFiles | undefined => {
		const { id, pid } = part;
		if (part.state !== 'running' || !pid) return undefined;
		const before = known.get(id);
		if (before?.pid === pid) return before.files;
		if (hierarchies === 'unknown') hierarchies = parseHierarchies(readText('/proc/self/mountinfo') ?? '');
		const membership = hierarchies && readText(`/proc/${pid}/cgroup`);
		const group = hierarchies && membership ? groupOf(hierarchies, membership) : undefined;
		// The number may be that of a process on another machine, and mean another one here: a container's group has its name.
		return remember(id, pid, group?.path.includes(id) ? group : undefined);
	};
	return {
		async read(part, annotations) {
			const files = find(part);
			const at = now();
			const figures = files && readGroup(files, at);
			if (figures) return part.kind === 'sandbox' ? { ...figures, ...traffic(part.pid) } : figures;
			if (part.state !== 'running') return undefined;
			try {
				return await limit(() => engine.parts.usage(part.id, annotations));
			} catch (error) {
				// One that cannot be read keeps nobody from the others.
				if (error instanceof EngineError && error.fault !== 'down') return undefined;
				throw error;
			}
		},
		details(part) {
			const files = find(part);
			return files && readDetails(files);
		},
		path: (part) => find(part)?.group.path,
		pod(sandbox) {
			const within = find(sandbox);
			if (!within || !sandbox.pid) return undefined;
			const { uid } = sandbox.pod;
			const before = known.get(uid);
			const files =
				before?.pid === sandbox.pid ? before.files : remember(uid, sandbox.pid, podGroup(within.group, uid));
			const figures = files && readGroup(files, now());
			return figures && { figures, path: files.group.path, details: () => readDetails(files) };
		},
		rate(key, at, cpu) {
			const before = rates.get(key);
			const elapsed = at - (before?.at ?? at);
			if (before && elapsed >= 0 && elapsed < MIN_RATE_MS) return before.rate;
			// A counter that has gone back has begun anew.
			const rate = before && elapsed > 0 && cpu >= before.cpu ? ((cpu - before.cpu) * 1000) / elapsed : undefined;
			rates.set(key, { at, cpu, rate });
			return rate === undefined ? undefined : Math.round(rate);
		},
		keep(keys) {
			for (const key of rates.keys()) if (!keys.has(key)) rates.delete(key);
			for (const [key, { files }] of known) {
				if (keys.has(key)) continue;
				files?.[Symbol.dispose]();
				known.delete(key);
			}
		},
	};
}

/** The group of a pod, where its parts are in one of its own. */
export function podGroup(group: Group, uid: string): Group | undefined {
	const above = parentOf(group);
	const name = above.path.slice(above.path.lastIndexOf('/') + 1);
	return name.includes(`pod${uid}`) || name.includes(`pod${uid.replaceAll('-', '_')}`) ? above : undefined;
}

function traffic(pid: number | undefined): Pick<Figures, 'interfaces' | 'received' | 'sent'> {
	const text = readText(`/proc/${pid}/net/dev`);
	if (!text) return {};
	const interfaces = parseInterfaces(text);
	const [first] = interfaces;
	return { interfaces, received: first?.receivedBytes, sent: first?.sentBytes };
}
