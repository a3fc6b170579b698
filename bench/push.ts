/**
 * A push of one changed file among 1,000 manifests: from the moment at which git has received the pack (its hook calls) to
 * the moment at which the changed object is stored (its watch event). Beside it the whole of `git push`, and the same push to
 * a bare repository that does nothing else.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openApi } from '../src/api/index.ts';
import { ensureDefaultApplication, openGitOps } from '../src/cli/platform/gitops.ts';
import { createCache, inProcess } from '../src/client/index.ts';
import { ConfigMap, loadRegistry } from '../src/kinds/index.ts';
import { clusterControllers, runControllers } from '../src/reconcile/index.ts';
import { openStore } from '../src/store/index.ts';
import { loadToken } from '../src/sync/push/index.ts';
import { runGit } from '../test/testbed/git.ts';
import { silentLog } from '../test/testbed/silent-log.ts';
import { median } from './figures/figures.ts';

const MANIFESTS = 1_000;
const ROUNDS = 21;

const directory = await mkdtemp(join(tmpdir(), 'driftless-bench-'));
const stop = new AbortController();
const { signal } = stop;
const store = await openStore('sqlite', directory);
const api = await openApi({ store, alone: true, registry: loadRegistry(), log: silentLog });
const client = inProcess(api, { name: 'admin', groups: ['system:masters'], userAgent: 'bench' });
const cache = createCache(client, { signal, log: silentLog });
let received = 0;
const gitops = await openGitOps({
	dataDir: directory,
	address: '127.0.0.1',
	httpPort: 0,
	pushWaitMs: 0,
	pollMs: undefined,
	webhookSecret: undefined,
	client: () => client,
	log: silentLog,
	signal,
	onPush: () => {
		received = performance.now();
	},
});
const running = runControllers({
	client,
	cache,
	controllers: [...clusterControllers(), gitops.controller],
	log: silentLog,
	now: Date.now,
	signal,
});
const { port } = await gitops.serve();
await ensureDefaultApplication(client, {
	repoURL: `http://127.0.0.1:${port}/git/default.git`,
	targetRevision: 'main',
	asked: true,
});
const url = `http://git:${await loadToken(directory)}@127.0.0.1:${port}/git/default.git`;

const clone = join(directory, 'clone');
const bare = join(directory, 'bare.git');
await mkdir(clone);
await runGit(clone, ['init', '-q', '-b', 'main']);
await runGit(clone, ['init', '-q', '--bare', bare]);
const manifest = (index: number, value: string) =>
	`apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: o${index}\n  namespace: default\n  labels:\n    app: bench\ndata:\n  value: "${value}"\n  text: some text that makes it a little longer\n`;
for (let index = 0; index < MANIFESTS; index++) {
	await mkdir(join(clone, `d${index % 20}`), { recursive: true });
	await writeFile(join(clone, `d${index % 20}`, `${index}.yaml`), manifest(index, '0'));
}
const push = async (to: string) => {
	const { code, output } = await runGit(clone, ['push', '-q', to, 'HEAD:main']);
	if (code !== 0) throw new Error(output);
};
await runGit(clone, ['add', '-A']);
await runGit(clone, ['commit', '-q', '-m', 'all']);
let started = performance.now();
await push(url);
const informer = cache.informer(ConfigMap);
while (informer.get(`default/o${MANIFESTS - 1}`) === undefined) await new Promise((resolve) => setTimeout(resolve, 1));
console.log(`first push of ${MANIFESTS} manifests, all stored: ${(performance.now() - started).toFixed(0)} ms`);
await push(bare);

const times: { stored: number; push: number; plain: number }[] = [];
for (let round = 1; round <= ROUNDS; round++) {
	const index = (round * 37) % MANIFESTS;
	const stored = Promise.withResolvers<number>();
	using _ = informer.on(({ object }) => {
		if (object?.metadata.name === `o${index}` && object.data?.value === String(round))
			stored.resolve(performance.now());
	});
	await writeFile(join(clone, `d${index % 20}`, `${index}.yaml`), manifest(index, String(round)));
	await runGit(clone, ['commit', '-qam', `round ${round}`]);
	started = performance.now();
	await push(url);
	const pushed = performance.now() - started;
	const storedAt = await stored.promise;
	started = performance.now();
	await push(bare);
	times.push({ stored: storedAt - received, push: pushed, plain: performance.now() - started });
}
const stored = times.map((each) => each.stored);
console.log(
	`push of one file among ${MANIFESTS}, pack received to object stored: median ${median(stored).toFixed(0)} ms, worst ${Math.max(...stored).toFixed(0)} ms (bar 150)`,
);
console.log(
	`the whole of git push: median ${median(times.map((each) => each.push)).toFixed(0)} ms; limit, the same to a bare repository on disk: ${median(times.map((each) => each.plain)).toFixed(0)} ms`,
);

stop.abort();
await running;
await gitops[Symbol.asyncDispose]();
await cache[Symbol.asyncDispose]();
await api[Symbol.asyncDispose]();
await store[Symbol.asyncDispose]();
await rm(directory, { recursive: true });
