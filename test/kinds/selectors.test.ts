import test from 'ava';
import {
	fieldReaders,
	fieldTerms,
	formatLabelSelector,
	type LabelSelector,
	labelPredicate,
	matchFields,
	matchRequirements,
	Pod,
	parseFieldSelector,
	parseLabelSelector,
	selectorPredicate,
	selectorText,
} from '../../src/kinds/index.ts';
import { manifests } from './manifests.ts';

const labels = { app: 'web', tier: 'front', 'example.com/level': '5', empty: '' };

const matching = [
	'',
	'app=web',
	'app==web',
	'app = web , tier=front',
	'app!=db',
	'missing!=x',
	'app in (web, db)',
	'app notin (db)',
	'missing notin (x)',
	'app',
	'!missing',
	'empty=',
	'empty in ()',
	'example.com/level>4',
	'example.com/level<6',
];
const other = [
	'app=db',
	'app!=web',
	'app in (db,cache)',
	'app notin (web,db)',
	'missing',
	'!app',
	'missing=',
	'example.com/level>5',
	'app>1',
	'app=web,tier=back',
	'toString',
	'constructor!=x,toString',
];
for (const text of matching) test(`the label selector "${text}" matches`, (t) => t.true(labelPredicate(text)(labels)));
for (const text of other)
	test(`the label selector "${text}" does not match`, (t) => t.false(labelPredicate(text)(labels)));

test('absent labels are none', (t) => {
	t.true(labelPredicate('!app')(undefined));
	t.false(labelPredicate('app')(undefined));
});

for (const text of ['=a', 'a=b c', 'a in b', 'a in (b', 'a,', '!', 'a=b=c', 'a=-', 'a b', '-a', 'a>b', ')'])
	test(`the label selector "${text}" is a bad request`, (t) => {
		t.throws(() => parseLabelSelector(text), { name: 'ApiError', message: /^unable to parse requirement: / });
	});

test('a selector object needs all its expressions, an empty one matches all, an absent one nothing', (t) => {
	const selector = {
		matchLabels: { app: 'web' },
		matchExpressions: [
			{ key: 'tier', operator: 'In', values: ['front', 'back'] },
			{ key: 'gone', operator: 'DoesNotExist' },
		],
	};
	t.true(selectorPredicate(selector)(labels));
	t.false(selectorPredicate(selector)({ app: 'web' }));
	t.true(selectorPredicate({})(undefined));
	t.false(selectorPredicate(undefined)(labels));
	t.throws(() => selectorPredicate({ matchExpressions: [{ key: 'a', operator: 'Like' }] }), { instanceOf: RangeError });
});

test('selectors are written as Kubernetes writes them, and read back the same', (t) => {
	const selector: LabelSelector = {
		matchLabels: { b: '1', a: '2' },
		matchExpressions: [
			{ key: 'c', operator: 'NotIn', values: ['z', 'y'] },
			{ key: 'd', operator: 'Exists' },
			{ key: 'e', operator: 'In', values: ['x'] },
			{ key: 'f', operator: 'DoesNotExist' },
		],
	};
	const text = 'a=2,b=1,c notin (y,z),d,e in (x),!f';
	t.is(formatLabelSelector(selector), text);
	const read = matchRequirements(parseLabelSelector(text));
	const match = { a: '2', b: '1', d: '', e: 'x' };
	for (const labels of [match, { ...match, c: 'y' }, { ...match, e: 'w' }, { ...match, f: '' }, { a: '2' }])
		t.is(read(labels), selectorPredicate(selector)(labels), JSON.stringify(labels));
	t.is(selectorText({ app: 'web' }), 'app=web', 'a plain map');
	t.is(selectorText('app=web'), 'app=web');
	t.is(selectorText(undefined), undefined);
});

test('field selectors compare fields that the kind offers', (t) => {
	const pod = manifests().find(({ kind }) => kind === 'Pod') as unknown as Pod;
	const fields = Object.fromEntries(Object.entries(fieldReaders(Pod)).map(([path, read]) => [path, read(pod)]));
	const matches = (text: string) => matchFields(fieldTerms(Pod, text))(fields);
	t.true(matches('metadata.name=debug,metadata.namespace==guestbook'));
	t.true(matches('spec.restartPolicy!=Always,status.phase='));
	t.false(matches('spec.nodeName=n1'));
	t.true(matches(''));
	t.throws(() => matches('spec.hostname=x'), { message: 'field label not supported: spec.hostname' });
	t.throws(() => matches('toString=x'), { message: 'field label not supported: toString' });
});

test('escaped separators belong to the value of a field selector', (t) => {
	t.deepEqual(parseFieldSelector('a=b\\,c\\=d,e!=f\\\\'), [
		{ path: 'a', value: 'b,c=d', negated: false },
		{ path: 'e', value: 'f\\', negated: true },
	]);
	t.throws(() => parseFieldSelector('nothing'), { message: /invalid field selector/ });
	t.throws(() => parseFieldSelector('a=b=c'), { message: /invalid field selector/ });
});

test('Gt and Lt compare whole numbers of 64 bits, and nothing is more or less than what is none', (t) => {
	const matches = (operator: 'Gt' | 'Lt', bound: string, value: string) =>
		matchRequirements([{ key: 'n', operator, values: [bound] }])({ n: value });
	t.true(matches('Gt', '9', '10'));
	t.true(matches('Lt', '-1', '-2'));
	t.true(matches('Gt', '9223372036854775806', '9223372036854775807'));
	t.true(matches('Gt', '+1', '2'));
	for (const none of ['', 'many', '1.5', '9223372036854775808', '1'.repeat(3_000_000)]) {
		t.false(matches('Gt', none, '10'), none.slice(0, 30));
		t.false(matches('Lt', '0', none), none.slice(0, 30));
	}
	t.throws(() => parseLabelSelector('n>9223372036854775808'), { message: /must be an integer/ });
});
