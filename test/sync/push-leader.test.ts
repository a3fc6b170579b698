/** A push to a server that does not lead, or not yet. */
import test from 'ava';
import { loadRegistry } from '../../src/kinds/index.ts';
import { createApplications, createPushHandler } from '../../src/sync/index.ts';
import { silentLog } from '../testbed/silent-log.ts';

const none = async () => {
	throw new Error('nothing is opened');
};

test('a push that comes before its server leads is answered once it does', async (t) => {
	const { applications, controller } = createApplications({
		renderer: none as never,
		openSource: none,
		outside: () => undefined,
	});
	const handler = createPushHandler({ applications, follows: () => true, waitMs: 0, log: silentLog, now: Date.now });
	const life = new AbortController();
	let settled = false;
	const asked = handler.busy?.(life.signal).finally(() => {
		settled = true;
	});
	await new Promise((resolve) => setImmediate(resolve));
	t.false(settled, 'it is not refused at once');
	controller.triggers?.(() => undefined, { signal: life.signal, client: { registry: loadRegistry() } } as never);
	t.is(await asked, undefined);

	life.abort();
	t.regex((await handler.busy?.(AbortSignal.abort())) ?? '', /does not lead the control plane/);
});
