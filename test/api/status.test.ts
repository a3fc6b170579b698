/** What a status may say, whoever writes it. */
import test from 'ava';
import { serveTestApi, type TestServer } from '../testbed/api.ts';

let server: TestServer;
test.before(async () => {
	server = await serveTestApi();
});
test.after.always(async () => server?.[Symbol.asyncDispose]());

const headers = { 'content-type': 'application/merge-patch+json' };
const template = { metadata: { labels: { app: 'a' } }, spec: { containers: [{ name: 'c', image: 'i' }] } };
const workload = { selector: { matchLabels: { app: 'a' } }, template };

/** Makes an object, and returns a writer of its status that answers with what is wrong. */
async function made(path: string, spec: object) {
	const name = 'status';
	const { code, text } = await server.ask(path, { body: { metadata: { name }, spec } });
	if (code !== 201) throw new Error(text);
	const patch = (body: object, at = `${path}/${name}`) => server.ask(at, { method: 'PATCH', headers, body });
	return {
		patch,
		write: async (status: object): Promise<string[]> => {
			const { code, body } = await patch({ status }, `${path}/${name}/status`);
			return code === 200
				? []
				: body.details.causes.map((cause: Record<string, string>) => `${cause.field}: ${cause.message}`);
		},
	};
}

for (const plural of ['deployments', 'replicasets'])
	test(`the status of ${plural} counts nothing below zero, and no more ready ones than there are`, async (t) => {
		const { write, patch } = await made(`/apis/apps/v1/namespaces/default/${plural}`, workload);
		t.is((await write({ replicas: -1 }))[0], 'status.replicas: Invalid value: -1: must be greater than or equal to 0');
		t.deepEqual(await write({ replicas: 2, readyReplicas: 3, availableReplicas: 1 }), [
			'status.readyReplicas: Invalid value: 3: cannot be greater than status.replicas',
		]);
		t.deepEqual(await write({ replicas: 2, readyReplicas: 1, availableReplicas: 2 }), [
			'status.availableReplicas: Invalid value: 2: cannot be greater than readyReplicas',
		]);
		t.deepEqual(await write({ replicas: 2, readyReplicas: 2, availableReplicas: 1, observedGeneration: 1 }), []);
		t.is((await patch({ spec: { replicas: 1 } })).code, 200);
	});

test('the addresses of a load balancer are addresses, and its names are names', async (t) => {
	const { write } = await made('/api/v1/namespaces/default/services', { type: 'LoadBalancer', ports: [{ port: 80 }] });
	const ingress = (...all: object[]) => write({ loadBalancer: { ingress: all } });
	t.deepEqual(await ingress({ ip: 'anything' }), [
		'status.loadBalancer.ingress[0].ip: Invalid value: "anything": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
	]);
	t.deepEqual(await ingress({ hostname: '10.0.0.1' }), [
		'status.loadBalancer.ingress[0].hostname: Invalid value: "10.0.0.1": must be a DNS name, not an IP address',
	]);
	t.deepEqual(await ingress({ hostname: 'lb.example.com' }, { hostname: 'lb.example.com', ipMode: 'VIP' }), [
		'status.loadBalancer.ingress[1].ipMode: Forbidden: may not be specified when `ip` is not set',
	]);
	t.deepEqual(
		await ingress({ ip: '192.0.2.1', ipMode: 'VIP' }, { ip: '2001:db8::1' }, { hostname: 'lb.example.com' }),
		[],
	);
});
