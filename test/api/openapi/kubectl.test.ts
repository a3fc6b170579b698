/** The real kubectl reads discovery, tables and OpenAPI documents from a server that serves nothing else. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import * as discovery from '../../../src/api/discovery.ts';
import { openApiV3 } from '../../../src/api/openapi/index.ts';
import { toTable } from '../../../src/api/table.ts';
import { deployment, withContainers } from '../patch/deployment.ts';
import { Deployment, registry } from './registry.ts';

const annotation = 'kubectl.kubernetes.io/last-applied-configuration';
const applied = withContainers([
	{ name: 'web', image: 'nginx:1' },
	{ name: 'gone', image: 'x' },
]);
/** What kubectl applied, with a sidecar that another has put in. */
const live = withContainers(
	[
		{ name: 'web', image: 'nginx:1' },
		{ name: 'gone', image: 'x' },
		{ name: 'sidecar', image: 'y' },
	],
	{ annotations: { [annotation]: JSON.stringify(applied) }, resourceVersion: '1' },
);

/** What is served at a path; aggregated discovery only where the client asks for it and may have it. */
function answer(path: string, wantsAggregated: boolean): { type?: string; body: object | Uint8Array } | undefined {
	const [, root, one = '', two = ''] = path.split('/');
	if (path.startsWith('/openapi/v3')) {
		const { index, document } = openApiV3(registry);
		const found = path === '/openapi/v3' ? index : document(path.slice('/openapi/v3/'.length));
		return found && { body: found.bytes };
	}
	if (path === '/version') return { body: discovery.serverVersion };
	if (path === '/api' || path === '/apis') {
		const which = path === '/api' ? 'core' : 'named';
		if (wantsAggregated) return { type: discovery.aggregatedDiscovery, body: discovery.aggregated(registry, which) };
		return { body: which === 'core' ? discovery.coreVersions(registry, 'test') : discovery.groupList(registry) };
	}
	if (path.endsWith('/deployments/web')) return { body: live };
	if (path.endsWith('/deployments')) {
		const web = deployment({ spec: { replicas: 3 } }, { creationTimestamp: new Date().toISOString() });
		return { body: toTable(Deployment, [web], { now: Date.now(), resourceVersion: '5' }) };
	}
	const list = root === 'api' ? discovery.resourceList(registry, '', one) : discovery.resourceList(registry, one, two);
	return list && { body: list };
}

interface Seen {
	readonly url: URL;
	readonly method: string;
	readonly type: string | undefined;
	readonly body: string;
}

/** A server, and how to run kubectl against it. Stops with the test. */
async function served(aggregated: boolean) {
	const seen: Seen[] = [];
	const bodyOf = async (request: IncomingMessage) => (await request.toArray()).join('');
	const server = createServer(async (request, response) => {
		const url = new URL(request.url ?? '/', 'http://test');
		const { method = 'GET', headers } = request;
		seen.push({ url, method, type: headers['content-type'], body: await bodyOf(request) });
		const wants = aggregated && headers.accept?.includes('as=APIGroupDiscoveryList') === true;
		const found = method === 'PATCH' ? { body: live } : answer(url.pathname, wants);
		response.statusCode = found ? 200 : 404;
		response.setHeader('content-type', found?.type ?? 'application/json');
		const body = found?.body ?? { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'NotFound', code: 404 };
		response.end(body instanceof Uint8Array ? body : JSON.stringify(body));
	});
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	const address = server.address();
	const port = typeof address === 'object' ? address?.port : 0;
	const home = await mkdtemp(join(tmpdir(), 'kubectl-'));
	return {
		seen,
		home,
		kubectl: async (...args: string[]) => {
			const env = { PATH: process.env.PATH, HOME: home, KUBECONFIG: join(home, 'none') };
			const { stdout } = await promisify(execFile)('kubectl', ['-s', `http://127.0.0.1:${port}`, ...args], { env });
			return stdout;
		},
		async [Symbol.asyncDispose]() {
			server.closeAllConnections();
			server.close();
			await once(server, 'close');
			await rm(home, { recursive: true });
		},
	};
}

for (const aggregated of [true, false])
	test(`kubectl finds every resource by ${aggregated ? 'aggregated' : 'plain'} discovery`, async (t) => {
		await using server = await served(aggregated);
		const lines = (await server.kubectl('api-resources', '--no-headers', '-o', 'wide')).trim().split('\n');
		const columns = lines.map((line) => line.trim().split(/\s{2,}/));
		t.deepEqual(
			columns
				.filter(([name]) => !name?.endsWith('reviews'))
				.map((line) => line.filter((cell) => !cell.startsWith('create,'))),
			[
				['namespaces', 'v1', 'false', 'Namespace'],
				['pods', 'po', 'v1', 'true', 'Pod', 'all'],
				['deployments', 'deploy', 'apps/v1', 'true', 'Deployment', 'all'],
				['widgets', 'example.com/v1', 'true', 'Widget'],
			],
		);
		t.regex(await server.kubectl('version'), /Server Version: v1\.32\.0\+driftless/);
	});

test('kubectl prints tables with the columns of the kind', async (t) => {
	await using server = await served(true);
	t.regex(await server.kubectl('get', 'deploy'), /^NAME +DESIRED\nweb +3\n$/);
	t.regex(await server.kubectl('get', 'deploy', '-o', 'wide'), /^NAME +DESIRED +SECONDS\nweb +3 +[\d.]+\n$/);
});

test('kubectl explains fields of built-in and of custom kinds', async (t) => {
	await using server = await served(true);
	const strategy = await server.kubectl('explain', 'deployment.spec.strategy');
	t.regex(strategy, /^GROUP: +apps\nKIND: +Deployment\nVERSION: +v1\n\nFIELD: strategy <DeploymentStrategy>/);
	t.regex(strategy, /rollingUpdate\t<RollingUpdateDeployment>/);
	t.regex(await server.kubectl('explain', 'pod.spec.containers.ports'), /containerPort\t<integer> -required-/);
	t.regex(await server.kubectl('explain', 'widget.spec'), /size\t<integer> -required-\n +How big it is\./);
});

test('kubectl apply asks version 3 alone, has the server validate, and merges by its keys', async (t) => {
	await using server = await served(true);
	const file = join(server.home, 'web.json');
	await writeFile(file, JSON.stringify(withContainers([{ name: 'web', image: 'nginx:2' }])));
	await server.kubectl('apply', '-f', file, '--dry-run=server');
	const patch = server.seen.find(({ method }) => method === 'PATCH');
	t.is(patch?.type, 'application/strategic-merge-patch+json');
	t.is(patch?.url.searchParams.get('fieldValidation'), 'Strict');
	t.is(patch?.url.searchParams.get('dryRun'), 'All');
	t.deepEqual(JSON.parse(patch?.body ?? '').spec.template.spec, {
		'$setElementOrder/containers': [{ name: 'web' }],
		containers: [
			{ image: 'nginx:2', name: 'web' },
			{ $patch: 'delete', name: 'gone' },
		],
	});

	await server.kubectl('apply', '-f', file, '--server-side', '--force-conflicts');
	const apply = server.seen.find(({ type }) => type === 'application/apply-patch+yaml');
	t.is(apply?.url.searchParams.get('force'), 'true');
	t.false(server.seen.some(({ url }) => url.pathname.startsWith('/openapi/v2')));
});
