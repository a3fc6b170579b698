import { execFileSync } from 'node:child_process';
import test from 'ava';
import fc from 'fast-check';
import { change, clientSets, rebuild } from '../../src/proxy/rules.ts';
import type { ServicePort } from '../../src/proxy/services.ts';
import { network, port } from './objects.ts';

/** Tables of their own, in a network namespace that nobody else is in. */
const namespace = `driftrules${process.pid}`;
const nft = (args: string[], input?: string) =>
	execFileSync('nsenter', [`--net=/run/netns/${namespace}`, '/usr/sbin/nft', ...args], {
		input,
		encoding: 'utf8',
		stdio: ['pipe', 'pipe', 'pipe'],
	});
const apply = (script: string) => void nft(['-f', '-'], script);

test.before(() => void execFileSync('ip', ['netns', 'add', namespace]));
test.after.always(() => void execFileSync('ip', ['netns', 'delete', namespace]));

const local = { internalPolicy: 'Local' } as const;
const script = (before: ServicePort[], after: ServicePort[]) => change(before, after, network);

const scripts: [string, ServicePort[], ServicePort[], string][] = [
	['nothing differs, nothing is done', [port([2])], [port([2])], ''],
	[
		'a new service',
		[],
		[port([2])],
		`table ip driftless {
	chain cluster/shop/web/http/tcp {
		ip saddr != 10.244.0.0/16 meta mark set meta mark | 0x4000
		meta l4proto tcp dnat to 10.244.0.2:8080
	}
}
add element ip driftless services { 10.96.0.5 . tcp . 80 : goto cluster/shop/web/http/tcp }
`,
	],
	[
		'one more endpoint costs the rules of its chain',
		[port([2])],
		[port([2, 3])],
		`flush chain ip driftless cluster/shop/web/http/tcp
table ip driftless {
	chain cluster/shop/web/http/tcp {
		ip saddr != 10.244.0.0/16 meta mark set meta mark | 0x4000
		meta l4proto tcp dnat ip addr . port to numgen random mod 2 map { 0 : 10.244.0.2 . 8080, 1 : 10.244.0.3 . 8080 }
	}
}
`,
	],
	[
		'the last endpoint goes: connections are refused',
		[port([2])],
		[port([])],
		`delete element ip driftless services { 10.96.0.5 . tcp . 80 }
flush chain ip driftless cluster/shop/web/http/tcp
delete chain ip driftless cluster/shop/web/http/tcp
add element ip driftless services { 10.96.0.5 . tcp . 80 : goto refused }
`,
	],
	[
		'the service goes',
		[port([2])],
		[],
		`delete element ip driftless services { 10.96.0.5 . tcp . 80 }
flush chain ip driftless cluster/shop/web/http/tcp
delete chain ip driftless cluster/shop/web/http/tcp
`,
	],
	[
		'with internalTrafficPolicy Local the endpoints elsewhere do not count',
		[],
		[port([2, 3], { ...local, localTargets: [] })],
		'add element ip driftless services { 10.96.0.5 . tcp . 80 : goto refused }\n',
	],
	[
		'an address that moves to another service is given up before it is taken',
		[port([2], { name: 'shop/a/http/tcp' })],
		[port([2], { name: 'shop/b/http/tcp' })],
		`delete element ip driftless services { 10.96.0.5 . tcp . 80 }
flush chain ip driftless cluster/shop/a/http/tcp
table ip driftless {
	chain cluster/shop/b/http/tcp {
		ip saddr != 10.244.0.0/16 meta mark set meta mark | 0x4000
		meta l4proto tcp dnat to 10.244.0.2:8080
	}
}
delete chain ip driftless cluster/shop/a/http/tcp
add element ip driftless services { 10.96.0.5 . tcp . 80 : goto cluster/shop/b/http/tcp }
`,
	],
	[
		'a node port comes with the address of the node',
		[port([2])],
		[port([2], { nodePort: 30080 })],
		`table ip driftless {
	chain external/shop/web/http/tcp {
		meta mark set meta mark | 0x4000
		goto cluster/shop/web/http/tcp
	}
}
add element ip driftless nodeports { tcp . 30080 : goto external/shop/web/http/tcp }
`,
	],
	[
		'a node port of policy Local keeps the address of who asks, and is for all endpoints where pods and the node ask',
		[port([2])],
		[port([2], { nodePort: 30080, externalPolicy: 'Local' })],
		`table ip driftless {
	chain local/shop/web/http/tcp {
		meta l4proto tcp dnat to 10.244.0.2:8080
	}
	chain external/shop/web/http/tcp {
		ip saddr 10.244.0.0/16 goto cluster/shop/web/http/tcp
		fib saddr type local meta mark set meta mark | 0x4000 goto cluster/shop/web/http/tcp
		goto local/shop/web/http/tcp
	}
}
add element ip driftless nodeports { tcp . 30080 : goto external/shop/web/http/tcp }
`,
	],
	[
		'with affinity an endpoint that goes takes its clients with it, and no others',
		[port([2, 3], { affinitySeconds: 60 })],
		[port([2], { affinitySeconds: 60 })],
		`flush chain ip driftless cluster/shop/web/http/tcp
flush chain ip driftless endpoint/shop/web/http/tcp/10.244.0.3/8080
table ip driftless {
	chain cluster/shop/web/http/tcp {
		ip saddr != 10.244.0.0/16 meta mark set meta mark | 0x4000
		ip saddr @clients/shop/web/http/tcp/10.244.0.2/8080 goto endpoint/shop/web/http/tcp/10.244.0.2/8080
		numgen random mod 1 vmap { 0 : goto endpoint/shop/web/http/tcp/10.244.0.2/8080 }
	}
}
delete chain ip driftless endpoint/shop/web/http/tcp/10.244.0.3/8080
delete set ip driftless clients/shop/web/http/tcp/10.244.0.3/8080
`,
	],
];
for (const [title, before, after, wanted] of scripts)
	test(`script: ${title}`, (t) => t.is(script(before, after), wanted));

/** One table, whatever the order in which it was made. */
function listing(): string[] {
	const { nftables } = JSON.parse(nft(['-j', 'list', 'table', 'ip', 'driftless'])) as { nftables: object[] };
	const sorted = (_: string, value: unknown) =>
		Array.isArray(value) && value.some((each) => Array.isArray(each) || typeof each === 'string')
			? [...value].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
			: value;
	const rules = new Map<string, number>();
	return nftables
		.map((each) => {
			const text = JSON.stringify(each, (key, value) => (key === 'handle' ? undefined : sorted(key, value)));
			// Rules have an order within their chain.
			const chain = /"rule".*?"chain":"([^"]+)"/.exec(text)?.[1] ?? '';
			rules.set(chain, (rules.get(chain) ?? 0) + 1);
			return chain ? `${chain} ${rules.get(chain)} ${text}` : text;
		})
		.sort();
}

const numbers = fc.subarray([2, 3, 4]);
const policy = fc.constantFrom('Cluster', 'Local');
const target = (number: number) => ({ ip: `10.244.0.${number}`, port: 8080 });
/** Service number N with anything that a service can have. */
const servicePort = (number: number): fc.Arbitrary<ServicePort> =>
	fc
		.record({
			all: numbers,
			here: fc.boolean(),
			nodePort: fc.constantFrom(undefined, 30_000 + number),
			external: fc.boolean(),
			internalPolicy: policy,
			externalPolicy: policy,
			affinitySeconds: fc.constantFrom(undefined, 60, 120),
			protocol: fc.constantFrom('tcp', 'udp'),
		})
		.map(({ all, here, external, ...rest }) => ({
			name: `shop/web-${number}/http/${rest.protocol}`,
			clusterIP: `10.96.0.${number}`,
			port: 80,
			targets: all.map(target),
			localTargets: here ? all.slice(0, 1).map(target) : [],
			externalAddresses: external ? [`192.0.2.${number}`] : [],
			...rest,
		}));
const step = fc
	.integer({ min: 1, max: 3 })
	.chain((number) => fc.option(servicePort(number)).map((port) => ({ number, port: port ?? undefined })));

test('any sequence of changes leaves the table that is made at once', (t) => {
	const run = (steps: { number: number; port: ServicePort | undefined }[]) => {
		const services = new Map<number, ServicePort>();
		apply(rebuild(network, []));
		for (const { number, port } of steps) {
			const before = services.get(number);
			if (port) services.set(number, port);
			else services.delete(number);
			const text = change(before ? [before] : [], port ? [port] : [], network);
			if (text) apply(text);
		}
		const changed = listing();
		apply(rebuild(network, services.values()));
		t.deepEqual(changed, listing());
	};
	fc.assert(fc.property(fc.array(step, { minLength: 1, maxLength: 8 }), run), { numRuns: 40 });
});

test('a rebuild takes along the clients that are remembered, of the services that still want it', (t) => {
	const web = port([2, 3], { affinitySeconds: 600 });
	const gone = port([2], { affinitySeconds: 600, name: 'shop/gone/http/tcp', clusterIP: '10.96.0.6' });
	apply(rebuild(network, [web, gone]));
	apply('add element ip driftless clients/shop/web/http/tcp/10.244.0.3/8080 { 10.244.0.9 timeout 600s expires 300s }');
	apply('add element ip driftless clients/shop/gone/http/tcp/10.244.0.2/8080 { 10.244.0.9 timeout 600s }');
	const sets = () => clientSets(nft(['-j', 'list', 'sets', 'table', 'ip', 'driftless']));
	apply(rebuild(network, [web], sets()));
	const [, remembering] = sets();
	t.is(sets().length, 2);
	t.like(remembering, { name: 'clients/shop/web/http/tcp/10.244.0.3/8080' });
	t.is(remembering?.elements[0]?.address, '10.244.0.9');
	t.is(remembering?.elements[0]?.timeout, 600);
	t.true((remembering?.elements[0]?.expires ?? 600) <= 300);
});

test('tables of others are not touched', (t) => {
	apply('table inet firewalld { chain forward { type filter hook forward priority 10; policy drop; }; }');
	const before = nft(['list', 'table', 'inet', 'firewalld']);
	apply(rebuild(network, [port([2])]));
	apply(change([port([2])], [], network));
	t.is(nft(['list', 'table', 'inet', 'firewalld']), before);
	apply('delete table inet firewalld');
});
