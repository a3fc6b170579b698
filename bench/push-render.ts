/**
 * A push of one changed file among 1,000 manifests: from git's having the pack to the end of the check (read from
 * quarantine, rendered, validated against the schema), and what the hooks add to the same push to a bare repository.
 */
import { loadRegistry } from '../src/kinds/index.ts';
import { loadToken, openPushServer, type PushHandler } from '../src/sync/push/index.ts';
import { createRenderer, validateManifest } from '../src/sync/render/index.ts';
import { openEmbedded } from '../src/sync/source/index.ts';
import { serveWeb } from '../src/web/index.ts';
import { createGitRemote, createWorkTree, temporaryDirectory } from '../test/testbed/git.ts';
import { median } from './figures/figures.ts';

const MANIFESTS = 1000;
const PUSHES = 15;

const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const deployment = (i: number, replicas: number) => `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web-${i}
  labels: {app: web-${i}}
spec:
  replicas: ${replicas}
  selector:
    matchLabels: {app: web-${i}}
  template:
    metadata:
      labels: {app: web-${i}}
    spec:
      containers:
        - name: web
          image: nginx:1.27
          ports:
            - containerPort: 80
          resources:
            limits: {cpu: 100m, memory: 64Mi}
`;
const path = (i: number) => `team-${i % 20}/web-${i}.yaml`;
const ms = (value: number) => `${value.toFixed(1)} ms`;

await using directory = await temporaryDirectory();
const registry = loadRegistry();
const renderer = createRenderer();
const valid = new Set<string>();
const checks: number[] = [];
const handler: PushHandler = {
	async check(push) {
		const start = performance.now();
		const { manifests, problems } = await renderer.render(await push.tree(), { path: '' });
		const refused = [...problems];
		for (const manifest of manifests) {
			if (valid.has(manifest.hash)) continue;
			const found = validateManifest(manifest, registry);
			if (found.length === 0) valid.add(manifest.hash);
			refused.push(...found);
		}
		checks.push(performance.now() - start);
		return { accept: refused.length === 0, lines: [] };
	},
	async *accepted() {},
};
const token = await loadToken(directory.path);
await using embedded = await openEmbedded(directory.path);
await using push = await openPushServer({ repositories: [embedded], token, handler, log: quiet });
const web = await serveWeb({ port: 0, push, log: quiet });
await using plain = await createGitRemote();
await using work = await createWorkTree(`http://git:${token}@127.0.0.1:${web.port}/git/default.git`);
await work.git('remote', 'add', 'plain', plain.url);

async function timed(remote: string): Promise<number> {
	const start = performance.now();
	const { code, output } = await work.push(remote, 'main');
	if (code !== 0) throw new Error(output);
	return performance.now() - start;
}

await work.commit(Object.fromEntries(Array.from({ length: MANIFESTS }, (_, i) => [path(i), deployment(i, 1)])));
await timed('plain');
await timed('origin');
const [cold = Number.NaN] = checks.splice(0);
const ours: number[] = [];
const theirs: number[] = [];
for (let i = 0; i < PUSHES; i++) {
	await work.commit({ [path(i * 7)]: deployment(i * 7, i + 2) });
	theirs.push(await timed('plain'));
	ours.push(await timed('origin'));
}
await web.close();
console.log(`check of ${MANIFESTS} manifests, nothing known          ${ms(cold)}`);
console.log(`check of 1 changed among ${MANIFESTS}, median of ${PUSHES}       ${ms(median(checks))}`);
console.log(`git push of 1 changed file, checked and answered   ${ms(median(ours))}`);
console.log(`the same push to a bare repository without hooks   ${ms(median(theirs))}`);
