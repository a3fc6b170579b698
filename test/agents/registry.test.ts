/** Images from a real registry: by tag and digest, the pull policies, credentials, and a registry that goes away. */
import test from 'ava';
import { Pod, Secret, ServiceAccount } from '../../src/kinds/index.ts';
import { account, startRegistry, type TestRegistry } from '../testbed/registry.ts';
import { running, startNode, type TestNode, WAIT } from './node.ts';

let node: TestNode;
let open: TestRegistry;
let secured: TestRegistry;

test.before(async () => {
	node = await startNode();
	[open, secured] = await Promise.all([
		startRegistry(node.engine),
		startRegistry(node.engine, { secured: true, port: 5001 }),
	]);
	await node.runAgent();
});
test.after.always(async () => {
	await open?.[Symbol.asyncDispose]();
	await secured?.[Symbol.asyncDispose]();
	await node?.[Symbol.asyncDispose]();
});

type Policy = 'Always' | 'IfNotPresent' | 'Never';

/** Runs a pod of the image. */
const run = (name: string, image: string, policy: Policy, spec: Partial<Pod['spec']> = {}) =>
	node.pod(name, { containers: [{ name: 'main', image, imagePullPolicy: policy, command: WAIT }], ...spec });
const main = (pod: Pod) => pod.status?.containerStatuses?.[0];
const waiting = (reason: string) => (pod: Pod) => main(pod)?.state?.waiting?.reason === reason;
const base64 = (text: string) => Buffer.from(text).toString('base64');
const secret = (name: string, type: string, key: string, content: object) =>
	node.client.create(Secret, {
		apiVersion: 'v1',
		kind: 'Secret',
		metadata: { name, namespace: 'default' },
		type,
		data: { [key]: base64(JSON.stringify(content)) },
	});
const dockerConfig = (name: string, server: string, entry: object) =>
	secret(name, 'kubernetes.io/dockerconfigjson', '.dockerconfigjson', { auths: { [server]: entry } });

test('an image is pulled by its tag, and by its digest, and the status names what runs by the digest', async (t) => {
	const digest = await open.push('shop/app:1', 'first');
	const image = `${open.host}/shop/app:1`;
	await run('tagged', image, 'IfNotPresent');
	const tagged = await node.until('tagged', running);
	t.is(main(tagged)?.image, image);
	t.is(main(tagged)?.imageID, `docker-pullable://${open.host}/shop/app@${digest}`);
	const events = await node.events('tagged');
	t.true(events.includes(`Pulling: Pulling image "${image}"`), events.join('\n'));
	const size = (await node.engine.docker.getImage(image).inspect()).Size;
	t.true(
		events.some((event) =>
			new RegExp(
				`^Pulled: Successfully pulled image "${image}" in [0-9.]+m?s \\([0-9.]+m?s including waiting\\)\\. Image size: ${size} bytes\\.$`,
			).test(event),
		),
		events.join('\n'),
	);

	const other = await open.push('shop/other:1', 'other');
	await run('exact', `${open.host}/shop/other@${other}`, 'IfNotPresent');
	const exact = await node.until('exact', running);
	t.is(main(exact)?.imageID, `docker-pullable://${open.host}/shop/other@${other}`);
	t.is(main(exact)?.image, `${open.host}/shop/other@${other}`);
});

test('a tag that moves: Always follows it, IfNotPresent and Never run what the machine has', async (t) => {
	const image = `${open.host}/moving:latest`;
	const first = await open.push('moving:latest', 'one');
	await run('moving-1', image, 'Always');
	const idOf = (digest: string) => `docker-pullable://${open.host}/moving@${digest}`;
	t.is(main(await node.until('moving-1', running))?.imageID, idOf(first));

	const second = await open.push('moving:latest', 'two');
	t.not(first, second);
	await run('moving-2', image, 'IfNotPresent');
	t.is(main(await node.until('moving-2', running))?.imageID, idOf(first));
	await run('moving-3', image, 'Never');
	t.is(main(await node.until('moving-3', running))?.imageID, idOf(first));
	for (const name of ['moving-2', 'moving-3']) {
		t.true((await node.events(name)).includes(`Pulled: Container image "${image}" already present on machine`));
	}

	await run('moving-4', image, 'Always');
	t.is(main(await node.until('moving-4', running))?.imageID, idOf(second));
	t.is(main(await node.get('moving-1'))?.imageID, idOf(first), 'what runs stays what it is');

	await node.engine.docker.getImage(image).remove({ force: true });
	await run('moving-5', image, 'Never');
	const pod = await node.until('moving-5', waiting('ErrImageNeverPull'));
	t.is(main(pod)?.state?.waiting?.message, `Container image "${image}" is not present with pull policy of Never`);
});

test('a private registry: credentials of both forms, of several secrets, and of the service account', async (t) => {
	const digest = await secured.push('team/private:1', 'private');
	const image = `${secured.host}/team/private:1`;
	const id = `docker-pullable://${secured.host}/team/private@${digest}`;
	const forget = () => node.engine.docker.getImage(image).remove({ force: true });
	const auth = base64(`${account.username}:${account.password}`);

	await dockerConfig('config', `http://${secured.host}/v2/`, { auth });
	await run('by-config', image, 'Always', { imagePullSecrets: [{ name: 'config' }] });
	t.is(main(await node.until('by-config', running))?.imageID, id);

	await secret('legacy', 'kubernetes.io/dockercfg', '.dockercfg', { [secured.host]: { ...account, email: 'a@b.c' } });
	await run('by-legacy', image, 'Always', { imagePullSecrets: [{ name: 'legacy' }] });
	t.is(main(await node.until('by-legacy', running))?.imageID, id);

	// Each that fits is tried: the longest path first, then in order.
	await dockerConfig('stale', `${secured.host}/team`, { username: account.username, password: 'of yesterday' });
	await dockerConfig('elsewhere', 'registry.example.com', { username: 'x', password: 'y' });
	await run('by-several', image, 'Always', {
		imagePullSecrets: [{ name: 'missing' }, { name: 'elsewhere' }, { name: 'stale' }, { name: 'config' }],
	});
	t.is(main(await node.until('by-several', running))?.imageID, id);
	await node.untilEvent(
		'by-several',
		/^FailedToRetrieveImagePullSecret: Unable to retrieve some image pull secrets \(missing\); attempting to pull the image may not succeed\.$/,
	);

	await node.client.create(ServiceAccount, {
		apiVersion: 'v1',
		kind: 'ServiceAccount',
		metadata: { name: 'puller', namespace: 'default' },
		imagePullSecrets: [{ name: 'config' }],
	});
	await run('by-account', image, 'Always', { serviceAccountName: 'puller' });
	const pod = await node.until('by-account', running);
	t.is(main(pod)?.imageID, id);
	t.deepEqual(pod.spec.imagePullSecrets, [{ name: 'config' }]);

	// What is on the machine already is nobody's secret any more, unless the policy says to ask.
	await run('no-secret', image, 'IfNotPresent');
	await node.until('no-secret', running);
	for (const name of ['by-config', 'by-legacy', 'by-several', 'by-account', 'no-secret']) {
		await node.client.delete(Pod, { namespace: 'default', name });
		await node.untilGone(name);
	}
	await forget();
});

test('wrong credentials, or none, are ErrImagePull and then ImagePullBackOff, with what the registry said', async (t) => {
	await secured.push('team/refused:1', 'refused');
	const image = `${secured.host}/team/refused:1`;
	await dockerConfig('wrong', secured.host, { username: account.username, password: 'guessed' });
	for (const name of ['wrong', 'none']) {
		await run(name, image, 'IfNotPresent', name === 'wrong' ? { imagePullSecrets: [{ name }] } : {});
		const pod = await node.until(name, waiting('ImagePullBackOff'));
		t.is(pod.status?.phase, 'Pending');
		const message = main(pod)?.state?.waiting?.message ?? '';
		t.regex(message, new RegExp(`^Back-off pulling image "${image}": ErrImagePull: .*(basic auth|unauthorized)`));
		const events = await node.events(name);
		t.true(events.includes('Failed: Error: ErrImagePull'), events.join('\n'));
		t.true(events.some((event) => event.startsWith(`Failed: Failed to pull image "${image}": `)));
		await node.untilEvent(name, /^Failed: Error: ImagePullBackOff$/);
		await node.untilEvent(name, new RegExp(`^BackOff: Back-off pulling image "${image}"$`));
	}
	// The secret is mended: the next attempt has it.
	const config = { auths: { [secured.host]: account } };
	await node.client.patch(
		Secret,
		{ namespace: 'default', name: 'wrong' },
		{ type: 'merge', body: { data: { '.dockerconfigjson': base64(JSON.stringify(config)) } } },
	);
	await node.until('wrong', running);
});

test('a tag that the registry does not have, and a name that is none, say so', async (t) => {
	await run('no-such-tag', `${open.host}/shop/nothing:1`, 'IfNotPresent');
	const pod = await node.until('no-such-tag', waiting('ImagePullBackOff'));
	t.regex(main(pod)?.state?.waiting?.message ?? '', /manifest.*(unknown|not found)/);

	await run('no-name', 'Not/A:Name:at-all', 'IfNotPresent');
	const bad = await node.until('no-name', waiting('InvalidImageName'));
	t.is(
		main(bad)?.state?.waiting?.message,
		'Failed to apply default image tag "Not/A:Name:at-all": couldn\'t parse image name "Not/A:Name:at-all": invalid reference format',
	);
	await node.untilEvent(
		'no-name',
		/^InspectFailed: Failed to apply default image tag "Not\/A:Name:at-all": couldn't parse/,
	);
	await node.untilEvent('no-name', /^Failed: Error: InvalidImageName$/);
});

test('a registry that goes down is waited for; what it comes back with is pulled', async (t) => {
	const registry = await startRegistry(node.engine, { port: 5002 });
	try {
		const digest = await registry.push('app:1', 'downtime');
		const image = `${registry.host}/app:1`;
		await run('before', image, 'Always');
		await node.until('before', running);
		await registry.stop();

		// Always asks the registry, though the machine has the image; IfNotPresent does not.
		await run('during', image, 'Always');
		await run('present', image, 'IfNotPresent');
		await node.until('present', running);
		const pod = await node.until('during', waiting('ImagePullBackOff'));
		t.regex(main(pod)?.state?.waiting?.message ?? '', /connection refused/);

		await registry.start();
		const back = await node.until('during', running);
		t.is(main(back)?.imageID, `docker-pullable://${registry.host}/app@${digest}`);
	} finally {
		await registry[Symbol.asyncDispose]();
	}
});
