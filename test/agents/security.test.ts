/** What containers may do and how their machine is called: security contexts, sysctls and host names on a real engine. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import type { Pod } from '../../src/kinds/index.ts';
import { running, startNode, type TestNode, WAIT } from './node.ts';

let node: TestNode;

test.before(async () => {
	node = await startNode();
	await node.runAgent();
});
test.after.always(async () => {
	await node?.[Symbol.asyncDispose]();
});

const statusOf = (pod: Pod, name = 'main') => pod.status?.containerStatuses?.find((one) => one.name === name);
const waiting = (pod: Pod, name = 'main') => statusOf(pod, name)?.state?.waiting;
const over = ({ status }: Pod) => status?.phase === 'Succeeded' || status?.phase === 'Failed';
/** What a container has left, without the last newline. */
const words = (pod: Pod) => statusOf(pod)?.state?.terminated?.message?.trimEnd();
/** Creates a pod of one container that leaves what the script writes. */
async function create(name: string, script: string, spec: Partial<Pod['spec']> = {}): Promise<void> {
	const [container] = spec.containers ?? [];
	const command = ['sh', '-c', `(${script}) > /dev/termination-log 2>&1`];
	await node.pod(name, { restartPolicy: 'Never', ...spec, containers: [{ ...container, name: 'main', command }] });
}
/** Runs such a pod to its end. */
async function said(...args: Parameters<typeof create>): Promise<string | undefined> {
	await create(...args);
	return words(await node.until(args[0], over));
}

/** The example image, but for its user. */
async function imageOf(name: string, user: string): Promise<string> {
	const container = await node.engine.docker.createContainer({ Image: 'driftless/example:1' });
	await container.commit({ repo: `driftless/${name}`, tag: '1', changes: `USER ${user}` });
	await container.remove();
	return `driftless/${name}:1`;
}

test('a container that must not run as root is not started as root, and the reason names it', async (t) => {
	const created = await node.pod('nonroot', {
		securityContext: { runAsNonRoot: true },
		containers: [
			{ name: 'main', command: WAIT },
			{ name: 'asked', command: WAIT, securityContext: { runAsUser: 0 } },
			{ name: 'fine', command: WAIT, securityContext: { runAsUser: 1000 } },
		],
	});
	const whose = (name: string) => `(pod: "nonroot_default(${created.metadata.uid})", container: ${name})`;
	const pod = await node.until(
		'nonroot',
		(one) =>
			waiting(one, 'main')?.reason === 'CreateContainerConfigError' &&
			waiting(one, 'asked')?.reason === 'CreateContainerConfigError' &&
			statusOf(one, 'fine')?.ready === true,
	);
	t.is(waiting(pod)?.message, `container has runAsNonRoot and image will run as root ${whose('main')}`);
	t.is(waiting(pod, 'asked')?.message, `container's runAsUser breaks non-root policy ${whose('asked')}`);
});

test('a group alone leaves the user to the image', async (t) => {
	const image = await imageOf('nobody', '65534:65534');
	const securityContext = { runAsGroup: 3000, runAsNonRoot: true };
	t.is(
		await said('group-alone', 'id', { containers: [{ name: 'main', image, securityContext }] }),
		'uid=65534(nobody) gid=3000 groups=3000',
	);
	const group = { name: 'main', securityContext: { runAsGroup: 3000 } };
	t.is(await said('group-of-root', 'id', { containers: [group] }), 'uid=0(root) gid=3000 groups=3000');
});

test('zero by any number of digits is root', async (t) => {
	const image = await imageOf('zeroes', '000');
	const securityContext = { runAsNonRoot: true };
	const container = { name: 'main', image, command: WAIT, securityContext };
	await node.pod('zeroes', { containers: [container] });
	const pod = await node.until('zeroes', (one) => waiting(one)?.reason === 'CreateContainerConfigError');
	t.regex(waiting(pod)?.message ?? '', /^container has runAsNonRoot and image will run as root /);
});

test('a seccomp profile of the machine binds, and nothing starts without it', async (t) => {
	const folder = join(node.engine.dataDir, 'seccomp');
	const securityContext = { seccompProfile: { type: 'Localhost', localhostProfile: 'no-chmod.json' } };
	const container = { name: 'main', securityContext };
	await create('profiled', 'chmod 700 /tmp || echo refused', { containers: [container] });
	const pod = await node.until('profiled', (one) => waiting(one)?.reason === 'CreateContainerConfigError');
	t.regex(waiting(pod)?.message ?? '', /^cannot load seccomp profile ".*\/seccomp\/no-chmod\.json": /);
	await mkdir(folder, { recursive: true });
	const syscalls = [{ names: ['chmod', 'fchmod', 'fchmodat', 'fchmodat2'], action: 'SCMP_ACT_ERRNO' }];
	await writeFile(join(folder, 'no-chmod.json'), JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls }));
	t.regex(words(await node.until('profiled', over)) ?? '', /refused$/);
});

test('users, groups, capabilities and sysctls are those that the pod asks for', async (t) => {
	const text = await said(
		'rights',
		'id; grep -E "CapEff|NoNewPrivs" /proc/self/status; sysctl -n net.ipv4.tcp_fin_timeout',
		{
			securityContext: {
				runAsUser: 1000,
				runAsGroup: 3000,
				supplementalGroups: [4000],
				fsGroup: 5000,
				sysctls: [{ name: 'net/ipv4/tcp_fin_timeout', value: '42' }],
			},
			containers: [
				{
					name: 'main',
					securityContext: { runAsUser: 1001, allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
				},
			],
		},
	);
	t.is(text, 'uid=1001 gid=3000 groups=3000,4000,5000\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\n42');
});

test('a pod with a subdomain is known by its full name, and by that alone to its kernel where it asks for it', async (t) => {
	const names = { hostname: 'db-0', subdomain: 'db' };
	const script = 'hostname; hostname -f';
	t.is(await said('short', script, names), 'db-0\ndb-0.db.default.svc.cluster.local');
	const full = 'db-0.db.default.svc.cluster.local';
	t.is(await said('full', script, { ...names, setHostnameAsFQDN: true }), `${full}\n${full}`);

	const hostname = 'a'.repeat(60);
	await node.pod('long', { hostname, subdomain: 'db', setHostnameAsFQDN: true });
	await node.untilEvent(
		'long',
		/^FailedCreatePodSandBox: .*FQDN a{60}\.db\.default\.svc\.cluster\.local is too long \(64 characters is the max, 89 characters requested\)$/,
	);
	await node.pod('cut', { hostname, subdomain: 'db' });
	t.truthy(await node.until('cut', running));
});
