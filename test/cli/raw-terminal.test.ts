/** A terminal is handed over to a command and given back, seen on a pseudo terminal. */
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { onTerminal } from './terminal.ts';

const child = fileURLToPath(new URL('./raw-process.ts', import.meta.url));
const run = (how: string) => `${process.execPath} ${child} ${how}`;

for (const [how, status] of [
	['return', 0],
	['throw', 1],
	['exit', 3],
] as const) {
	test(`the terminal is as before when the process ends by ${how}`, async (t) => {
		await onTerminal(run(how), async ({ ended, settings, stdout }) => {
			t.is(await ended, status);
			t.regex(stdout(), /raw \d+/);
			const { before, after } = settings();
			t.is(after, before);
		});
	});
}

for (const [signal, status] of [
	['SIGTERM', 143],
	['SIGHUP', 129],
	['SIGINT', 130],
	['SIGQUIT', 131],
] as const) {
	test(`the terminal is as before when ${signal} ends the process, which dies of it`, async (t) => {
		await onTerminal(`ulimit -c 0; ${run('wait')}`, async ({ ended, settings, stdout, until }) => {
			await until(/raw \d+[\s\S]*size/);
			process.kill(Number(/raw (\d+)/.exec(stdout())?.[1]), signal);
			t.is(await ended, status);
			const { before, after } = settings();
			t.is(after, before);
		});
	});
}

test('each key comes as it is while the terminal is raw, Ctrl-C included', async (t) => {
	await onTerminal(run('keys'), async ({ ended, type, until }) => {
		await until(/size/);
		type('\u0003');
		await until(/keys "\\u0003"/);
		type('\u001b[A');
		await until(/keys "\\u001b\[A"/);
		type('q');
		t.is(await ended, 0);
	});
});

test('the size of the terminal is told at first, and whenever it changes', async (t) => {
	await onTerminal(run('keys'), async ({ ended, resize, type, until }) => {
		await until(/size 80x24/);
		await resize(100, 30);
		await until(/size 100x30/);
		await resize(120, 40);
		await until(/size 120x40/);
		type('q');
		t.is(await ended, 0);
	});
});
