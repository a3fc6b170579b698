/** Kills of the embedded store while it makes a checkpoint, and what has to be there afterwards. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { openSqlite } from '../../src/store/sqlite.ts';

const WRITERS = 16;

/**
 * Lets a process of its own commit to the store at `path`, and kills it (SIGKILL) so many milliseconds after the file of the database
 * was written for the `checkpoint`th time. Returns what is wrong with the store then.
 */
export async function killInCheckpoint(path: string, checkpoint: number, delayMs: number): Promise<string[]> {
	const child = spawn(process.execPath, [join(import.meta.dirname, 'storm.ts'), path, '20000'], {
		stdio: ['ignore', 'pipe', 'inherit'],
	});
	const acknowledged = new Map<string, number>();
	const lines = createInterface({ input: child.stdout });
	lines.on('line', (line) => {
		const [writer = '', number] = line.split(' ');
		// A last line may be cut off by the death of the process; its beginning is a smaller number.
		acknowledged.set(writer, Math.max(acknowledged.get(writer) ?? 0, Number(number)));
	});
	const read = once(lines, 'close');
	await once(child.stdout, 'data');
	let { mtimeMs: seen } = await stat(path);
	for (let written = 0; written < checkpoint && child.exitCode === null; ) {
		await sleep(1);
		const { mtimeMs } = await stat(path);
		if (mtimeMs !== seen) written++;
		seen = mtimeMs;
	}
	await sleep(delayMs);
	child.kill('SIGKILL');
	await read;
	return faultsOf(path, acknowledged);
}

async function faultsOf(path: string, acknowledged: ReadonlyMap<string, number>): Promise<string[]> {
	const faults: string[] = [];
	{
		await using store = await openSqlite(path);
		for (let writer = 0; writer < WRITERS; writer++) {
			const { entries } = await store.list(`/storm/${String(writer).padStart(2, '0')}/`);
			const numbers = entries.map(({ value }) => Number(new TextDecoder().decode(value).split(' ')[0]));
			const least = acknowledged.get(String(writer)) ?? 0;
			if (new Set(numbers).size > 1) faults.push(`writer ${writer}: a commit is there by half: ${numbers}`);
			if (least > 0 && !((numbers[0] ?? 0) >= least)) faults.push(`writer ${writer}: ${least} is lost: ${numbers}`);
		}
	}
	using database = new DatabaseSync(path);
	const { integrity_check: checked } = database.prepare('PRAGMA integrity_check').get() ?? {};
	if (checked !== 'ok') faults.push(`the database is damaged: ${checked}`);
	return faults;
}
