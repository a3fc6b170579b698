/** What an autoscaler scales, and a repository says a number of replicas for. */
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { Deployment, HorizontalPodAutoscaler } from '../../src/kinds/index.ts';
import { type GitOpsWorld, startGitOps } from './gitops.ts';

const web = { name: 'web', namespace: 'default' };
const PATIENCE_MS = 60_000;

const deployment = (replicas: number, image: string) => `apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: ${replicas}
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers: [{ name: main, image: ${image} }]
`;
const autoscaler = `apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: { name: web }
spec:
  scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: web }
  minReplicas: 1
  maxReplicas: 9
`;

async function until<T>(look: () => Promise<T>, wanted: (seen: T) => boolean): Promise<T> {
	const deadline = Date.now() + PATIENCE_MS;
	for (;;) {
		const seen = await look();
		if (wanted(seen)) return seen;
		if (Date.now() > deadline) throw new Error(`last seen: ${JSON.stringify(seen)}`);
		await delay(50);
	}
}

const scale = async ({ client }: GitOpsWorld, replicas: number) => {
	const change = { type: 'merge', body: { spec: { replicas } } } as const;
	await client.as('horizontalpodautoscaler').patch(Deployment, web, change, { subresource: 'scale' });
};
const now = async ({ client }: GitOpsWorld) => {
	const { metadata, spec } = await client.get(Deployment, web);
	const image = spec.template?.spec?.containers[0]?.image;
	return { replicas: spec.replicas, image, managers: metadata.managedFields?.map(({ manager }) => manager) };
};

test('the replicas that an autoscaler has set are no drift, and no sync takes them back until it has gone', async (t) => {
	t.timeout(4 * PATIENCE_MS);
	const world = await startGitOps(t, { pushWaitMs: 0 });
	const first = await world.push({ 'web.yaml': deployment(2, 'example:1'), 'scale.yaml': autoscaler });
	t.is(first.code, 0, first.output);
	await until(
		() => now(world).catch(() => undefined),
		(seen) => seen?.replicas === 2,
	);
	await until(
		() => world.client.list(HorizontalPodAutoscaler),
		({ items }) => items.length === 1,
	);
	const synced = () => world.status(({ sync }) => sync?.status === 'Synced');
	await synced();

	await scale(world, 5);
	await world.push({ 'web.yaml': deployment(2, 'example:2') });
	await until(
		() => now(world),
		({ image }) => image === 'example:2',
	);
	await synced();
	t.is((await now(world)).replicas, 5, 'a sync of something else leaves them');
	await scale(world, 6);
	await world.push({ 'web.yaml': deployment(3, 'example:3') });
	await until(
		() => now(world),
		({ image }) => image === 'example:3',
	);
	await synced();
	t.is((await now(world)).replicas, 6, 'another number in the repository is not the autoscaler’s');

	await world.push({ 'scale.yaml': undefined });
	const back = await until(
		() => now(world),
		({ replicas }) => replicas === 3,
	);
	t.is(back.image, 'example:3');
	await synced();
});

test('a deployment that is already there keeps its replicas when an autoscaler comes', async (t) => {
	t.timeout(4 * PATIENCE_MS);
	const world = await startGitOps(t, { pushWaitMs: 0 });
	await world.push({ 'web.yaml': deployment(4, 'example:1') });
	await until(
		() => now(world).catch(() => undefined),
		(seen) => seen?.replicas === 4,
	);
	await world.push({ 'scale.yaml': autoscaler, 'web.yaml': deployment(4, 'example:2') });
	await until(
		() => now(world),
		({ image }) => image === 'example:2',
	);
	await world.push({ 'web.yaml': deployment(7, 'example:3') });
	await until(
		() => now(world),
		({ image }) => image === 'example:3',
	);
	t.is((await now(world)).replicas, 4, 'it is the autoscaler’s from then on');
	await world.status(({ sync }) => sync?.status === 'Synced');
});
