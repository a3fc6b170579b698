/** Which images go when the disk fills up, and that nobody else's do. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { simulatedEngine } from '../../src/agents/engine/simulated/index.ts';
import { bytesToFree, collectImages, imagesToRemove, type Known } from '../../src/agents/garbage/images.ts';
import { createWheel } from '../../src/agents/wheel.ts';
import { faults } from '../../src/client/index.ts';
import { silentLog } from '../testbed/silent-log.ts';

const limits = { highPercent: 85, lowPercent: 80 };
test('nothing is to be freed below the high threshold; from there on down to the low one', (t) => {
	t.is(bytesToFree({ capacity: 1000, available: 160 }, limits), 0);
	t.is(bytesToFree({ capacity: 1000, available: 150 }, limits), 50);
	t.is(bytesToFree({ capacity: 1000, available: 0 }, limits), 200);
	t.is(bytesToFree({ capacity: 0, available: 0 }, limits), 0);
});

const image = (id: string, rest: Partial<Known> = {}): Known => ({
	id,
	size: 10,
	fetchedAt: 0,
	usedAt: 0,
	used: false,
	...rest,
});
const cases: readonly (readonly [title: string, images: Known[], bytes: number, removed: string[]])[] = [
	['the longest unused first', [image('new', { usedAt: 9 }), image('old', { usedAt: 1 })], 10, ['old']],
	['of these the oldest', [image('b', { fetchedAt: 5 }), image('a', { fetchedAt: 1 })], 10, ['a']],
	['as many as it takes', [image('a'), image('b', { usedAt: 1 }), image('c', { usedAt: 2 })], 11, ['a', 'b']],
	['what is used stays', [image('a', { used: true }), image('b', { usedAt: 5 })], 100, ['b']],
	['what has just come stays', [image('a', { fetchedAt: 950 })], 100, []],
	['nothing to free', [image('a')], 0, []],
];
for (const [title, images, bytes, removed] of cases)
	test(`images to remove: ${title}`, (t) => {
		t.deepEqual(imagesToRemove(images, { bytes, now: 1000, minAgeMs: 100 }), removed);
	});

async function setting(t: ExecutionContext, used: () => ReadonlySet<string>) {
	const dataDir = await mkdtemp(join(tmpdir(), 'driftless-images-'));
	const stop = new AbortController();
	const wheel = createWheel();
	t.teardown(async () => {
		stop.abort();
		wheel[Symbol.dispose]();
		await rm(dataDir, { recursive: true });
	});
	const engine = simulatedEngine();
	const make = () =>
		collectImages({
			engine,
			root: '',
			dataDir,
			used,
			tell: () => {},
			faults: faults(silentLog),
			now: Date.now,
			wheel,
			log: silentLog,
			signal: stop.signal,
		});
	const pull = async (name: string) => {
		await engine.images.pull(name, undefined);
		return (await engine.images.inspect(name))?.id ?? '';
	};
	const present = async () => (await engine.images.list()).flatMap(({ tags }) => tags).sort();
	return { dataDir, engine, make, pull, present };
}

test('of the images that the node has fetched the unused go, also after a restart; others’ stay', async (t) => {
	const used = new Set<string>();
	const { make, pull, present, dataDir } = await setting(t, () => used);
	const garbage = make();
	await garbage.start();
	garbage.fetched(await pull('shop/old:1'));
	const kept = await pull('shop/kept:1');
	garbage.fetched(kept);
	used.add(kept);
	await pull('somebody/else:1');
	await garbage.idle();
	const again = make();
	await again.start();
	await again.removeUnused();
	t.deepEqual(await present(), ['shop/kept:1', 'somebody/else:1']);
	t.deepEqual(Object.keys(JSON.parse(await readFile(join(dataDir, 'images.json'), 'utf8')) as object), [kept]);
	used.clear();
	await again.removeUnused();
	t.deepEqual(await present(), ['somebody/else:1']);
});

test('a record that cannot be read removes nothing', async (t) => {
	const { make, pull, present, dataDir } = await setting(t, () => new Set());
	await pull('shop/some:1');
	await writeFile(join(dataDir, 'images.json'), '{"sha256:');
	const garbage = make();
	await garbage.start();
	await garbage.removeUnused();
	t.deepEqual(await present(), ['shop/some:1']);
});
