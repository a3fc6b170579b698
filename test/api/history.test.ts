/** Whether what clients are told of several servers on one store can be true, whatever faults there are on the way to it. */
import test from 'ava';
import { type Api, openApi } from '../../src/api/index.ts';
import { loadRegistry } from '../../src/kinds/index.ts';
import { Compacted, Unavailable } from '../../src/store/index.ts';
import { storm } from '../storms/clients.ts';
import { faultsOf, type Operation, type Outcome, type Watched } from '../storms/history.ts';
import { numbers } from '../storms/numbers.ts';
import { openTestApi } from '../testbed/api.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { shaky } from './shaky.ts';

const append = (token: string, outcome: Outcome, begun: number, ended: number): Operation => ({
	do: 'append',
	client: 'a',
	key: 'k',
	token,
	outcome,
	begun,
	ended,
});
const read = (list: readonly string[], begun: number, ended: number): Operation => ({
	do: 'read',
	client: 'r',
	key: 'k',
	list,
	begun,
	ended,
});
const judge = (
	last: readonly string[],
	operations: readonly Operation[],
	lists: Watched['lists'] = [],
	gapless = true,
) => faultsOf({ operations, watched: [{ client: 'w', key: 'k', lists }], gapless, last: new Map([['k', last]]) });

test('a history that cannot be is told from one that can', (t) => {
	t.deepEqual(judge(['x', 'y'], [append('x', 'made', 0, 1), append('y', 'unknown', 2, 3), read(['x'], 2, 4)]), []);
	t.deepEqual(judge(['x'], [append('x', 'made', 0, 3), read([], 1, 2), append('z', 'refused', 4, 5)], [[], ['x']]), []);
	t.deepEqual(judge(['x', 'y'], [], [[], ['x', 'y']], false), []);
	const faulty: readonly [RegExp, string[]][] = [
		[/was acknowledged and is not/, judge([], [append('x', 'made', 0, 1)])],
		[/is 2 times in k/, judge(['x', 'x'], [append('x', 'unknown', 0, 1)])],
		[/was refused and is in k/, judge(['x'], [append('x', 'refused', 0, 1)])],
		[/r's read found 0 .* after a's append had found 1/, judge(['x'], [append('x', 'made', 0, 1), read([], 2, 3)])],
		[/r's read found 1 .* after r's read had found 2/, judge(['x', 'y'], [read(['x', 'y'], 0, 1), read(['x'], 2, 3)])],
		[/a's append found 0 /, judge(['y', 'x'], [append('x', 'made', 0, 1), append('y', 'made', 2, 3)])],
		[/read k as z, which it never was/, judge(['x'], [read(['z'], 0, 1)])],
		[/go from 0 to 2 entries/, judge(['x', 'y'], [], [[], ['x', 'y']])],
		[/go from 1 to 1 entries/, judge(['x', 'y'], [], [['x'], ['x']], false)],
		[/watched k as y, which it never was/, judge(['x', 'y'], [], [['y']])],
	];
	for (const [pattern, faults] of faulty) t.regex(faults.join('\n'), pattern);
});

for (const [seed, forgets] of [
	[1, false],
	[2, false],
	[3, true],
] as const) {
	test(`two servers whose watches lag and whose answers are lost lose no write, make none twice and go back for nobody (${seed}${forgets ? ', with a store that forgets' : ''})`, async (t) => {
		await using opened = await openTestApi();
		const random = numbers(seed);
		await using stack = new AsyncDisposableStack();
		const links = [shaky(opened.store), shaky(opened.store)];
		const apis: Api[] = [];
		for (const { store } of links)
			apis.push(
				stack.use(
					await openApi({ store, registry: loadRegistry(), log: { ...silentLog, warn: () => {}, error: () => {} } }),
				),
			);
		stack.defer(() => {
			for (const link of links) link.flow();
		});
		const history = await storm({
			servers: apis.map((api) => () => api),
			keys: 3,
			clients: 6,
			operations: 60,
			random,
			async before() {
				const link = links[Math.floor(random() * links.length)];
				const fault = random();
				if (fault < 0.06) link?.loseAnswer('after');
				else if (fault < 0.09) link?.loseAnswer('before');
				else if (fault < 0.12) link?.break(new Unavailable('the connection broke'));
				else if (forgets && fault < 0.14) link?.break(new Compacted(1));
				else if (fault < 0.2) {
					link?.lag();
					const turns = Math.floor(random() * 40);
					setTimeout(() => link?.flow(), turns);
				}
			},
			async mend() {
				for (const link of links) {
					link.mend();
					link.flow();
				}
			},
		});
		const made = history.operations.filter((each) => each.do === 'append' && each.outcome === 'made');
		const unknown = history.operations.filter((each) => each.do === 'append' && each.outcome === 'unknown');
		t.true(made.length > 50 && unknown.length > 0, `${made.length} made, ${unknown.length} unknown`);
		t.deepEqual(faultsOf({ ...history, gapless: !forgets }), []);
	});
}
