/** Certificates that nodes ask for, over a real API. */
import 'reflect-metadata';
import { webcrypto, X509Certificate } from 'node:crypto';
import { type JsonName, Pkcs10CertificateRequestGenerator, SubjectAlternativeNameExtension } from '@peculiar/x509';
import test, { type ExecutionContext } from 'ava';
import { nodeOfRequest, signNodeRequest } from '../../src/api/index.ts';
import { CertificateSigningRequest } from '../../src/kinds/index.ts';
import { NODE_SIGNER, nodeCertificates } from '../../src/reconcile/nodes/node-certificates.ts';
import { handClock } from '../client/clock.ts';
import { found, run, settled, worldOf } from '../client/world.ts';
import { serveTestApi } from '../testbed/api.ts';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const PATH = '/apis/certificates.k8s.io/v1/certificatesigningrequests';
const USAGES = ['digital signature', 'key encipherment', 'client auth'];

async function requestFor(name: JsonName, alternative?: string): Promise<string> {
	const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
	const request = await Pkcs10CertificateRequestGenerator.create({
		name,
		keys: { publicKey: keys.publicKey, privateKey: keys.privateKey },
		signingAlgorithm: algorithm,
		extensions: alternative ? [new SubjectAlternativeNameExtension([{ type: 'dns', value: alternative }])] : [],
	});
	return Buffer.from(request.toString('pem')).toString('base64');
}

const nodeName = (name: string, organization = 'system:nodes'): JsonName => [
	{ O: [organization] },
	{ CN: [`system:node:${name}`] },
];

async function start(t: ExecutionContext) {
	const server = await serveTestApi();
	const w = worldOf(t, server);
	const { client } = w;
	const clock = handClock();
	const began = Date.now();
	const sign = (spec: CertificateSigningRequest['spec'], now: number) =>
		signNodeRequest(server.pki.authority, spec, now);
	const controllers = [nodeCertificates({ nodeOf: nodeOfRequest, sign })];
	const running = run(t, w, controllers, () => began + clock.now(), clock);
	const get = (name: string) => found(client.get(CertificateSigningRequest, { name }));
	let count = 0;
	/** What has become of a request when the controller has dealt with it. */
	const ask = async (spec: object, as: 'admin' | { cert: string; key: string } = 'admin') => {
		const metadata = { name: `csr-${count++}` };
		const body = { metadata, spec: { signerName: NODE_SIGNER, usages: USAGES, ...spec } };
		const { code, body: written } = await server.ask(PATH, { body, as });
		t.is(code, 201, JSON.stringify(written));
		await settled(w, running, CertificateSigningRequest, written);
		const request = await get(metadata.name);
		if (!request) throw new Error('the request is gone');
		const types = request.status?.conditions?.map(({ type }) => type) ?? [];
		const message = request.status?.conditions?.at(-1)?.message;
		const pem = Buffer.from(request.status?.certificate ?? '', 'base64').toString('utf8');
		return { request, types, message, certificate: pem ? new X509Certificate(pem) : undefined };
	};
	return { server, clock, began, get, ask };
}

test('a node gets a certificate of its own, an administrator that of any node, and nobody else one', async (t) => {
	const { server, ask } = await start(t);
	const authority = new X509Certificate(server.pki.authority.cert);
	const asked = await ask({ request: await requestFor(nodeName('n1')) });
	t.deepEqual(asked.types, ['Approved']);
	t.is(asked.certificate?.subject, 'CN=system:node:n1\nO=system:nodes');
	t.true(asked.certificate?.verify(authority.publicKey));
	t.false(asked.certificate?.ca);

	const n1 = await server.pki.node('n1');
	const own = await ask({ request: await requestFor(nodeName('n1')), expirationSeconds: 3600 }, n1);
	t.is(own.certificate?.subject, 'CN=system:node:n1\nO=system:nodes');
	const { validFrom = '', validTo = '' } = own.certificate ?? {};
	t.is(Date.parse(validTo) - Date.parse(validFrom), 3_900_000, 'an hour, and what clocks may differ');

	const forged = { username: 'system:node:n2', groups: ['system:masters'] };
	const other = await ask({ request: await requestFor(nodeName('n2')), ...forged }, n1);
	t.like(other.request.spec, { username: 'system:node:n1', groups: ['system:nodes', 'system:authenticated'] });
	t.deepEqual([other.types, other.certificate], [[], undefined], 'it waits for somebody who decides');
	const { name } = other.request.metadata;
	const approval = { status: { conditions: [{ type: 'Approved', status: 'True' }] } };
	const headers = { 'content-type': 'application/merge-patch+json' };
	t.is((await server.ask(`${PATH}/${name}/status`, { method: 'PATCH', headers, body: approval, as: n1 })).code, 403);
	const change = { spec: { username: 'system:node:n2' } };
	t.is((await server.ask(`${PATH}/${name}`, { method: 'PATCH', headers, body: change, as: n1 })).code, 403);
});

test('what is no certificate of a node is refused for good, and what is for another signer left alone', async (t) => {
	const { ask } = await start(t);
	const cases = [
		[{ request: await requestFor(nodeName('n1', 'system:masters')) }, /its organization is not system:nodes/],
		[{ request: await requestFor([{ O: ['system:nodes'] }, { CN: ['admin'] }]) }, /its common name is not/],
		[{ request: await requestFor(nodeName('n1'), 'n1.example.com') }, /a client has no alternative names/],
		[{ request: await requestFor(nodeName('n1')), usages: [...USAGES, 'server auth'] }, /the usage "server auth"/],
		[{ request: await requestFor(nodeName('n1')), usages: USAGES.slice(0, 2) }, /"client auth" is missing/],
		[
			{
				request: Buffer.from('-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----').toString(
					'base64',
				),
			},
			/no certificate request in PEM/,
		],
	] as const;
	for (const [spec, why] of cases) {
		const { types, message, certificate } = await ask(spec);
		t.deepEqual([types, certificate], [['Failed'], undefined], String(why));
		t.regex(message ?? '', why);
	}
	const elsewhere = await ask({ request: await requestFor(nodeName('n1')), signerName: 'example.com/other' });
	t.deepEqual([elsewhere.types, elsewhere.certificate], [[], undefined]);
});

test('a request goes an hour after its answer, and after a day without', async (t) => {
	const { ask, get, clock } = await start(t);
	const answered = (await ask({ request: await requestFor(nodeName('n1')) })).request.metadata.name;
	const pending = (await ask({ request: await requestFor(nodeName('n1')), signerName: 'example.com/other' })).request
		.metadata.name;
	const gone = async (name: string) => {
		for (const end = Date.now() + 60_000; Date.now() < end; await new Promise(setImmediate))
			if (!(await get(name))) return true;
		return false;
	};
	clock.advance(59 * 60_000);
	t.truthy(await get(answered));
	clock.advance(120_000);
	t.true(await gone(answered));
	t.truthy(await get(pending));
	clock.advance(24 * 3_600_000);
	t.true(await gone(pending));
});
