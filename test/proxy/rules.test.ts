import { execFileSync } from 'node:child_process';
import test from 'ava';
import { ProgramError } from '../../src/proxy/programs.ts';
import { compile, difference } from '../../src/proxy/rules.ts';
import type { ServicePort } from '../../src/proxy/services.ts';
import { createTable, type Refused } from '../../src/proxy/table.ts';
import fc from '../testbed/fast-check.ts';
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
/** Transactions so far. */
let runs = 0;
const newTable = () =>
	createTable({
		async run(script) {
			runs++;
			apply(script);
		},
		list: async (...what) => nft(['-j', 'list', ...what]),
	});
const named = (...ports: ServicePort[]): Map<string, ServicePort[]> =>
	new Map(ports.map((each) => [each.name.split('/').slice(0, 2).join('/'), [each]] as const));
const keys = (refused: Refused) => [...refused.keys()];

test.before(() => void execFileSync('ip', ['netns', 'add', namespace]));
test.after.always(() => void execFileSync('ip', ['netns', 'delete', namespace]));

const local = { internalPolicy: 'Local' } as const;
const script = (before: ServicePort[], after: ServicePort[]) =>
	difference(compile(before, network.podNetwork), compile(after, network.podNetwork));

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
		'a load balancer address for some ranges drops all others, and its other addresses are for everybody',
		[port([2], { externalAddresses: ['192.0.2.1'] })],
		[
			port([2], {
				externalAddresses: ['192.0.2.1', '192.0.2.2'],
				balanced: { addresses: ['192.0.2.2'], sourceRanges: ['198.51.100.0/24', '0.0.0.0/0'] },
			}),
		],
		`table ip driftless {
	chain guard/shop/web/http/tcp {
		ip saddr 198.51.100.0/24 goto external/shop/web/http/tcp
		ip saddr 0.0.0.0/0 goto external/shop/web/http/tcp
		drop
	}
}
add element ip driftless services { 192.0.2.2 . tcp . 80 : goto guard/shop/web/http/tcp }
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
			ranges: fc.constantFrom(undefined, [], ['198.51.100.0/24'], ['10.0.0.0/8', '10.1.0.0/16', '0.0.0.0/0']),
			internalPolicy: policy,
			externalPolicy: policy,
			affinitySeconds: fc.constantFrom(undefined, 60, 120),
			protocol: fc.constantFrom('tcp', 'udp'),
		})
		.map(({ all, here, external, ranges, ...rest }) => ({
			name: `shop/web-${number}/http/${rest.protocol}`,
			clusterIP: `10.96.0.${number}`,
			port: 80,
			targets: all.map(target),
			localTargets: here ? all.slice(0, 1).map(target) : [],
			externalAddresses: external ? [`192.0.2.${number}`] : [],
			...(ranges && { balanced: { addresses: [`192.0.2.${number}`], sourceRanges: ranges } }),
			...rest,
		}));
const step = fc
	.integer({ min: 1, max: 3 })
	.chain((number) => fc.option(servicePort(number)).map((port) => ({ number, port: port ?? undefined })));

test.serial('any sequence of changes leaves the table that is made at once', (t) => {
	const run = async (steps: { number: number; port: ServicePort | undefined }[]) => {
		const services = new Map<string, ServicePort[]>();
		nft(['flush', 'ruleset']);
		const table = newTable();
		await table.setAll(services, network);
		for (const { number, port } of steps) {
			const key = `shop/web-${number}`;
			if (port) services.set(key, [port]);
			else services.delete(key);
			t.deepEqual(keys(await table.set(new Map([[key, port ? [port] : []]]), network)), []);
		}
		const changed = listing();
		// Found as it is by the next process, and made where nothing is.
		t.deepEqual(keys(await newTable().setAll(services, network)), []);
		t.deepEqual(changed, listing());
		nft(['flush', 'ruleset']);
		await newTable().setAll(services, network);
		t.deepEqual(changed, listing());
	};
	return fc.assert(fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 8 }), run), { numRuns: 30 });
});

test.serial('a service that the kernel refuses keeps what it had, and holds up no other', async (t) => {
	nft(['flush', 'ruleset']);
	const table = newTable();
	const all = (count: number) =>
		Array.from({ length: 100 }, (_, index) =>
			port(
				Array.from({ length: count }, (_, each) => each + 2),
				{
					name: `shop/web-${index}/http/tcp`,
					clusterIP: `10.96.1.${index}`,
				},
			),
		);
	t.deepEqual(keys(await table.setAll(named(...all(1)), network)), []);
	// A chain that is in use cannot go, and an element that is there with another verdict cannot come.
	apply('add rule ip driftless refused jump cluster/shop/web-7/http/tcp');
	apply('add element ip driftless services { 10.96.2.1 . tcp . 80 : drop }');
	const gone = all(1)[7]?.name ?? '';
	const late = port([2], { name: 'shop/late/http/tcp', clusterIP: '10.96.2.1' });
	const before = runs;
	const wanted = new Map([...named(...all(2), late), ['shop/web-7', []]]);
	const refused = await table.set(wanted, network);
	t.deepEqual(keys(refused).sort(), ['shop/late', 'shop/web-7']);
	t.regex(String(refused.get('shop/web-7')), /busy/);
	t.regex(String(refused.get('shop/late')), /exists/);
	t.true(runs - before < 60, `${runs - before} transactions`);
	const lines = nft(['list', 'table', 'ip', 'driftless']);
	t.is(lines.split('numgen random mod 2').length - 1, 99);
	t.true(lines.includes(`chain cluster/${gone}`));

	nft(['delete', 'element', 'ip', 'driftless', 'services', '{ 10.96.2.1 . tcp . 80 }']);
	nft(['flush', 'chain', 'ip', 'driftless', 'refused']);
	t.deepEqual(keys(await table.set(new Map([['shop/web-7', []], ...named(late)]), network)), []);
	t.false(nft(['list', 'table', 'ip', 'driftless']).includes(`chain cluster/${gone}`));
});

test.serial('an address goes from one service to another, whichever is set first', async (t) => {
	nft(['flush', 'ruleset']);
	const table = newTable();
	const one = port([2], { name: 'shop/one/http/tcp', externalAddresses: ['192.0.2.1'] });
	const other = port([3], { name: 'shop/other/http/tcp', clusterIP: '10.96.0.6' });
	await table.setAll(named(one, other), network);
	// What the kernel refuses makes each be tried alone.
	apply('add element ip driftless services { 10.96.2.1 . tcp . 80 : drop }');
	const bad = port([2], { name: 'shop/bad/http/tcp', clusterIP: '10.96.2.1' });
	const after = named(bad, { ...other, externalAddresses: ['192.0.2.1'] }, { ...one, externalAddresses: [] });
	t.deepEqual(keys(await table.set(after, network)), ['shop/bad']);
	t.regex(nft(['list', 'table', 'ip', 'driftless']), /192\.0\.2\.1 \. tcp \. 80 : goto external\/shop\/other/);
});

test.serial(
	'what is there of services that are gone, and of nobody, goes; a table of another form is made anew',
	async (t) => {
		nft(['flush', 'ruleset']);
		const web = port([2]);
		const gone = port([2, 3], {
			affinitySeconds: 60,
			name: 'shop/gone/http/tcp',
			clusterIP: '10.96.0.6',
			nodePort: 30_080,
		});
		await newTable().setAll(named(web, gone), network);
		apply('add element ip driftless services { 10.96.2.1 . tcp . 80 : drop, 10.96.2.2 . udp . 53 : goto refused }');
		t.deepEqual(keys(await newTable().setAll(named(web), network)), []);
		const found = listing();
		nft(['flush', 'ruleset']);
		await newTable().setAll(named(web), network);
		t.deepEqual(found, listing());

		apply('delete table ip driftless; add table ip driftless; add set ip driftless itself { type inet_service; }');
		t.deepEqual(keys(await newTable().setAll(named(web), network)), []);
		t.deepEqual(found, listing());
	},
);

test.serial('a table that is gone is an error of all, not of a service', async (t) => {
	const table = newTable();
	await table.setAll(named(port([2])), network);
	nft(['flush', 'ruleset']);
	t.false(await table.isThere());
	await t.throwsAsync(table.set(named(port([2, 3])), network), { message: /No such file/ });
});

test.serial('a change that may be done or not is no fault of a service: all is looked at', async (t) => {
	nft(['flush', 'ruleset']);
	let late = false;
	const table = createTable({
		async run(script) {
			if (late) throw new ProgramError('nft -f -: did not end in time', true);
			apply(script);
		},
		list: async (...what) => nft(['-j', 'list', ...what]),
	});
	await table.setAll(named(port([2])), network);
	late = true;
	await t.throwsAsync(table.set(named(port([2, 3])), network), { message: /did not end in time/ });
});

test.serial('many services are set in pieces', async (t) => {
	nft(['flush', 'ruleset']);
	const many = Array.from({ length: 600 }, (_, index) =>
		port([2], { name: `shop/web-${index}/http/tcp`, clusterIP: `10.97.${index >> 8}.${index & 255}` }),
	);
	const before = runs;
	t.deepEqual(keys(await newTable().setAll(named(...many), network)), []);
	t.is(runs - before, 3, 'the frame, and two of 500 services at most');
	t.is(nft(['list', 'map', 'ip', 'driftless', 'services']).split('goto cluster/').length - 1, 600);
});

test.serial(
	'clients that are remembered stay so when all is set again, of the services that still want it',
	async (t) => {
		nft(['flush', 'ruleset']);
		const web = port([2, 3], { affinitySeconds: 600 });
		const gone = port([2], { affinitySeconds: 600, name: 'shop/gone/http/tcp', clusterIP: '10.96.0.6' });
		await newTable().setAll(named(web, gone), network);
		apply(
			'add element ip driftless clients/shop/web/http/tcp/10.244.0.3/8080 { 10.244.0.9 timeout 600s expires 300s }',
		);
		apply('add element ip driftless clients/shop/gone/http/tcp/10.244.0.2/8080 { 10.244.0.9 timeout 600s }');
		await newTable().setAll(named(web), network);
		const sets = nft(['list', 'sets', 'table', 'ip', 'driftless']);
		t.regex(sets, /clients\/shop\/web\/http\/tcp\/10\.244\.0\.3\/8080 \{[^}]*10\.244\.0\.9 timeout 10m/);
		t.notRegex(sets, /clients\/shop\/gone/);
	},
);

test.serial('tables of others are not touched', async (t) => {
	apply('table inet firewalld { chain forward { type filter hook forward priority 10; policy drop; }; }');
	const before = nft(['list', 'table', 'inet', 'firewalld']);
	const table = newTable();
	await table.setAll(named(port([2])), network);
	await table.set(new Map([['shop/web', []]]), network);
	t.is(nft(['list', 'table', 'inet', 'firewalld']), before);
	apply('delete table inet firewalld');
});
