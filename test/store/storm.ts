/**
 * Commits without end to the SQLite store at argv[2], and prints each once it is acknowledged, until it is killed:
 * `WRITER NUMBER`. Each commit puts the same number under three keys of its writer, with argv[3] bytes (2000).
 */
import { writeSync } from 'node:fs';
import { openSqlite } from '../../src/store/sqlite.ts';

const WRITERS = 16;

const store = await openSqlite(process.argv[2] ?? '');
const filling = '.'.repeat(Number(process.argv[3] ?? 2000));
await Promise.all(
	Array.from({ length: WRITERS }, async (_, writer) => {
		const prefix = `/storm/${String(writer).padStart(2, '0')}`;
		const found = await store.get(`${prefix}/a`);
		for (let number = Number(found ? new TextDecoder().decode(found.value).split(' ')[0] : 0) + 1; ; number++) {
			const value = Buffer.from(`${number} ${filling}`);
			await store.commit({ puts: ['a', 'b', 'c'].map((name) => ({ key: `${prefix}/${name}`, value })) });
			writeSync(1, `${writer} ${number}\n`);
		}
	}),
);
