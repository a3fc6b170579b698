/** What the agent of a node may do with claims and volumes. */
import test from 'ava';
import { LOCAL_FINALIZER, SIZE_LIMIT, VOLUME_NODE } from '../../src/kinds/index.ts';
import { claim, volume } from '../reconcile/volume-objects.ts';
import { serveTestApi } from '../testbed/api.ts';

const claimRef = (name: string) => ({ claimRef: { namespace: 'default', name } });

test('a node reads the volumes of its pods and of its directories, and says of these what has become of them, no more', async (t) => {
	await using server = await serveTestApi();
	const pair = await server.pki.node('n1');
	const as = { cert: pair.cert, key: pair.key };
	const at = '/api/v1/namespaces/default';
	const all = '/api/v1/persistentvolumes';
	const make = async (path: string, body: object) => {
		const made = await server.ask(path, { body });
		if (made.code !== 201) throw new Error(made.text);
	};
	for (const name of ['used', 'pod-own', 'other']) {
		await make(`${at}/persistentvolumeclaims`, claim(name));
		await make(all, volume(`of-${name}`, { spec: claimRef(name) }));
	}
	for (const node of ['n1', 'n2'])
		await make(
			all,
			volume(`on-${node}`, { annotations: { [VOLUME_NODE]: node, keep: 'it' }, finalizers: [LOCAL_FINALIZER] }),
		);
	await make(`${at}/pods`, {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: { name: 'pod' },
		spec: {
			nodeName: 'n1',
			containers: [{ name: 'c', image: 'i' }],
			volumes: [
				{ name: 'data', persistentVolumeClaim: { claimName: 'used' } },
				{ name: 'own', ephemeral: { volumeClaimTemplate: { spec: claim('x').spec } } },
			],
		},
	});
	const selected = (node: string) => `${all}?fieldSelector=${encodeURIComponent(`${VOLUME_NODE}=${node}`)}`;
	const annotate = (key: string) => ({ metadata: { annotations: { [key]: '5' } } });
	const cases: readonly [code: number, path: string, method?: string, body?: object][] = [
		[200, `${at}/persistentvolumeclaims/used`],
		[200, `${at}/persistentvolumeclaims/pod-own`],
		[403, `${at}/persistentvolumeclaims/other`],
		[200, `${all}/of-used`],
		[200, `${all}/of-pod-own`],
		[403, `${all}/of-other`],
		[403, `${all}/none`],
		[403, all],
		[200, selected('n1')],
		[403, selected('n2')],
		[200, `${all}/on-n1`],
		[403, `${all}/on-n2`],
		[200, `${all}/on-n1`, 'PATCH', annotate(SIZE_LIMIT)],
		[403, `${all}/on-n2`, 'PATCH', annotate(SIZE_LIMIT)],
		[403, `${all}/of-used`, 'PATCH', annotate(SIZE_LIMIT)],
		[403, `${all}/on-n1`, 'PATCH', annotate('other')],
		[403, `${all}/on-n1`, 'PATCH', annotate(VOLUME_NODE)],
		[403, `${all}/on-n1`, 'PATCH', { spec: { persistentVolumeReclaimPolicy: 'Delete' } }],
		[403, `${all}/on-n1`, 'PATCH', { metadata: { labels: { a: 'b' } } }],
		[403, `${all}/on-n1`, 'PATCH', { metadata: { finalizers: [] } }],
		[403, `${all}/on-n1`, 'DELETE'],
		[403, all, 'POST', volume('new')],
		[200, `${all}/on-n1`, 'PATCH', { metadata: { finalizers: ['kubernetes.io/pv-protection'] } }],
	];
	for (const [code, path, method = 'GET', body] of cases) {
		const headers = method === 'PATCH' ? { 'content-type': 'application/merge-patch+json' } : undefined;
		const answer = await server.ask(path, { as, method, body, headers });
		t.is(answer.code, code, `${method} ${path} ${JSON.stringify(body) ?? ''}: ${answer.text.slice(0, 300)}`);
	}
});
