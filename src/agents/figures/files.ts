/**
 * The files of a control group. They lie in memory, so they are read at once: a request to libuv's threads for each would cost
 * several times as much as the reading, and so does opening one anew. An open file holds up the end of no group.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import type { Controller, Group } from './groups.ts';

/** Files that are kept open at once; what comes beyond that is opened for each reading. */
const MAX_KEPT = 4_000;
/** Larger than any of them. */
const BUFFER = Buffer.allocUnsafe(64 * 1024);

let kept = 0;

export interface GroupFiles extends Disposable {
	readonly group: Group;
	/** The whole text; undefined where there is no such file, or its group has gone. */
	read(controller: Controller, file: string): string | undefined;
}

export function groupFiles(group: Group): GroupFiles {
	const open = new Map<string, number>();
	const close = (path: string, descriptor: number) => {
		closeSync(descriptor);
		if (open.delete(path)) kept--;
	};
	return {
		group,
		read(controller, file) {
			const path = join(group.folders[controller], file);
			let descriptor = open.get(path);
			try {
				descriptor ??= openSync(path, 'r');
			} catch {
				return undefined;
			}
			let keep = open.has(path);
			if (!keep && kept < MAX_KEPT) {
				open.set(path, descriptor);
				kept++;
				keep = true;
			}
			try {
				const text = BUFFER.toString('latin1', 0, readSync(descriptor, BUFFER, 0, BUFFER.length, 0));
				if (!keep) closeSync(descriptor);
				return text;
			} catch {
				// ENODEV: the group has gone.
				if (keep) close(path, descriptor);
				else closeSync(descriptor);
				return undefined;
			}
		},
		[Symbol.dispose]() {
			for (const [path, descriptor] of open) close(path, descriptor);
		},
	};
}
