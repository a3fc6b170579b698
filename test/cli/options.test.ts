/** The values of options: what is taken, and what is said of the rest. */
import test from 'ava';
import { Command, InvalidArgumentError } from 'commander';
import { cidr, collect, duration, goawayChance, label, nodeName, oneOf, ownIp, port } from '../../src/cli/options.ts';
import { seenByNone } from '../../src/cli/platform/addresses.ts';
import { choice, collectWords, flag, goDuration, wholeNumber } from '../../src/cli/resources/flags.ts';

const taken: readonly [string, (text: string) => unknown, readonly [string, unknown][], readonly string[]][] = [
	[
		'oneOf',
		oneOf('a', 'b'),
		[
			['a', 'a'],
			['b', 'b'],
		],
		['c', '', 'A'],
	],
	[
		'port',
		port,
		[
			['0', 0],
			['6443', 6443],
			['65535', 65_535],
		],
		['65536', '-1', '1.5', 'http', '', ' 1'],
	],
	[
		'duration',
		duration,
		[
			['30', 30_000],
			['30s', 30_000],
			['2m', 120_000],
			['1h', 3_600_000],
			['250ms', 250],
			['0', 0],
		],
		['', '-1s', '1d', 's', '1.5s', '1h30m'],
	],
	[
		'goDuration',
		goDuration,
		[
			['90s', 90],
			['1h30m', 5400],
			['1.5h', 5400],
			['1ms', 1],
			['5m', 300],
		],
		['', '5', '-5s', '1d', 'm'],
	],
	[
		'wholeNumber',
		wholeNumber,
		[
			['0', 0],
			['-1', -1],
			['20', 20],
		],
		['', '1.5', 'ten', '1e3'],
	],
	[
		'goawayChance',
		goawayChance,
		[
			['0', 0],
			['0.001', 0.001],
			['.02', 0.02],
		],
		['', '0.03', '1', '-0.1', '1e-3', '0.0.1'],
	],
	[
		'cidr',
		cidr,
		[
			['10.244.0.0/16', '10.244.0.0/16'],
			['10.0.0.0/8', '10.0.0.0/8'],
		],
		['10.244.0.0', '10.244.0.256/16', '10.0.0.0/31', 'fd00::/64', '10.0.0/8'],
	],
	[
		'label',
		label,
		[
			['disk=ssd', ['disk', 'ssd']],
			['empty=', ['empty', '']],
			['example.com/disk=ssd', ['example.com/disk', 'ssd']],
			['topology.kubernetes.io/zone=a', ['topology.kubernetes.io/zone', 'a']],
			['rack.node.kubernetes.io/row=1', ['rack.node.kubernetes.io/row', '1']],
			['notkubernetes.io/a=b', ['notkubernetes.io/a', 'b']],
		],
		[
			'node-role.kubernetes.io/worker=',
			'node-restriction.kubernetes.io/a=b',
			'k8s.io/a=b',
			'disk',
			'=ssd',
			'',
			'a=b=c',
			'a b=c',
			'a=b c',
			`a=${'b'.repeat(64)}`,
		],
	],
	[
		'nodeName',
		nodeName,
		[
			['worker-1', 'worker-1'],
			['worker-1.example.com', 'worker-1.example.com'],
		],
		['', 'Worker', 'a_b', 'a/b', '../a', '-a', 'a'.repeat(64)],
	],
	[
		'ownIp',
		ownIp,
		[
			['10.0.0.2', '10.0.0.2'],
			['127.0.0.1', '127.0.0.1'],
		],
		['', 'worker', '0.0.0.0', '224.0.0.1', '300.0.0.1', '10.0.0', '::1', 'fd00::1'],
	],
];
for (const [name, parse, good, bad] of taken) {
	test(`${name} takes what it should`, (t) => {
		for (const [text, value] of good) t.deepEqual(parse(text), value, text);
	});
	test(`${name} says what it takes when it gets something else`, (t) => {
		for (const text of bad)
			t.throws(
				() => parse(text),
				{ instanceOf: InvalidArgumentError, message: /^It takes .*\.$/ },
				JSON.stringify(text),
			);
	});
}

test('an option that is given several times is gathered', (t) => {
	t.deepEqual(
		['a=1', 'b=2'].reduce<[string, string][]>((before, text) => collect(label)(text, before), []),
		[
			['a', '1'],
			['b', '2'],
		],
	);
	t.deepEqual(collectWords('c,,d', collectWords('a,b')), ['a', 'b', 'c', 'd']);
});

function parsed(line: string): { words: readonly string[]; options: Record<string, unknown> } {
	const command = new Command('test')
		.argument('[words...]')
		.exitOverride()
		.configureOutput({ writeErr: () => {} });
	flag(command, '--wait', '', true);
	flag(command, '-A, --all', '');
	choice(command, '--dry-run', '', ['client', 'server'], 'server');
	command.parse(line.split(' ').filter(Boolean), { from: 'user' });
	const { wait, all, dryRun } = command.opts();
	return { words: command.args, options: { wait, all, dryRun } };
}

const lines: readonly [string, readonly string[], Record<string, unknown>][] = [
	['', [], { wait: true, all: undefined, dryRun: undefined }],
	['--wait pod', ['pod'], { wait: true, all: undefined, dryRun: undefined }],
	['--wait=false pod', ['pod'], { wait: false, all: undefined, dryRun: undefined }],
	['pod --wait=true -A', ['pod'], { wait: true, all: true, dryRun: undefined }],
	['--all=false', [], { wait: true, all: false, dryRun: undefined }],
	['--dry-run pod', ['pod'], { wait: true, all: undefined, dryRun: 'server' }],
	['--dry-run=client pod', ['pod'], { wait: true, all: undefined, dryRun: 'client' }],
];
for (const [line, words, options] of lines) {
	test(`switches as kubectl has them: ${line || 'none'}`, (t) => t.deepEqual(parsed(line), { words, options }));
}

test('a value that a switch has not is refused', (t) => {
	for (const line of ['--wait=maybe', '--dry-run=perhaps'])
		t.throws(() => parsed(line), { code: 'commander.unknownOption' });
});

test('a server whose store others may share says at its start where its address leads them nowhere', (t) => {
	t.regex(seenByNone('etcd://127.0.0.1:2379', '127.0.0.1') ?? '', /at 127\.0\.0\.1; .*--advertise-address/);
	t.is(seenByNone('etcd://127.0.0.1:2379', '10.0.0.1'), undefined);
	t.is(seenByNone('sqlite', '127.0.0.1'), undefined);
});
