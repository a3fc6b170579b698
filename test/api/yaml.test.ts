/** Bodies in YAML, as Kubernetes reads them. */
import test from 'ava';
import { parseBody } from '../../src/api/http/body.ts';
import { limits } from '../../src/api/limits.ts';
import { ApiError } from '../../src/kinds/status.ts';
import { kubernetesYaml } from '../../src/yaml.ts';
import { serveTestApi } from '../testbed/api.ts';

const read = (text: string) => parseBody(Buffer.from(text), true);

const values: Readonly<Record<string, unknown>> = {
	'0644': 420,
	'0o644': 420,
	'-010': -8,
	'0899': 899,
	'0x1F': 31,
	'0b101': 5,
	'1_000': 1000,
	'1e3': 1000,
	'1.5': 1.5,
	yes: true,
	On: true,
	y: true,
	no: false,
	OFF: false,
	n: false,
	'~': null,
	'': null,
	'12:30:45': '12:30:45',
	'2020-01-01': '2020-01-01',
	'1.10.0': '1.10.0',
	'"0644"': '0644',
	"'yes'": 'yes',
	yEs: 'yEs',
};
for (const [text, value] of Object.entries(values))
	test(`the YAML ${text || '(nothing)'} is ${JSON.stringify(value)}`, async (t) => {
		t.deepEqual((await read(`a: ${text}\n`)).value, { a: value });
		t.deepEqual((await read(`{a: ${text}}`)).value, { a: value }, 'in flow style');
	});

test('YAML may begin with a bracket, a mark or a comment, and may merge', async (t) => {
	t.deepEqual((await read('[a, {b: 1}]')).value, ['a', { b: 1 }]);
	t.deepEqual((await read('# c\n---\na: 1\n...\n')).value, { a: 1 });
	t.deepEqual((await read('a: &a {b: 1, c: 2}\nd:\n  <<: *a\n  c: 3\n')).value, {
		a: { b: 1, c: 2 },
		d: { b: 1, c: 3 },
	});
	t.deepEqual((await read('yes: 1\n1: 2\n__proto__: 3')).value, JSON.parse('{"true":1,"1":2,"__proto__":3}'));
	t.is((await read('# nothing')).value, null);
});

test('a key that stands twice is told with its line, and the last one counts', async (t) => {
	t.deepEqual(await read('a: 1\nb:\n- c: 1\n  c: 2\na: 2\n'), {
		value: { a: 2, b: [{ c: 2 }] },
		duplicates: ['line 4: key "c" already set in map', 'line 5: key "a" already set in map'],
	});
	t.deepEqual((await read('{"a":1,"a":2}')).duplicates, ['duplicate field "a"']);
	t.is((await read('a: 1\n'.repeat(5000))).duplicates.length, limits.strictErrors);
});

test('a tag that is named like a part of JavaScript is unknown, and leaves nothing behind for other bodies', async (t) => {
	const tags = kubernetesYaml.schema.tags.length;
	for (const name of ['constructor', '__proto__', 'toString'])
		for (const value of ['b', '{b: 1}', '[b]'])
			await t.throwsAsync(read(`a: !<${name}> ${value}`), { message: /no valid YAML: Unresolved tag: / }, name);
	t.is(kubernetesYaml.schema.tags.length, tags);
});

const half = 'x'.repeat(limits.body / 2);
const refused: Readonly<Record<string, [text: string, code: number, message: RegExp]>> = {
	'what is no YAML': ['a: 1\nb: [', 400, /no valid YAML: .* at line 2/],
	'several documents': ['a: 1\n---\nb: 2\n', 400, /several documents/],
	'a tag of another type': ['a: !!binary aGk=', 400, /no valid YAML: Unresolved tag/],
	'a tag that does not fit': ['a: !!bool maybe', 400, /no valid YAML/],
	'a merge of what is no mapping': ['a: &a 1\nb:\n  <<: *a\n', 400, /no valid YAML: Merge sources must be maps/],
	'an alias of nothing': ['a: *b', 400, /no valid YAML: Unresolved alias/],
	'an alias of itself': ['a: &a [*a]', 400, /no valid YAML/],
	'aliases of aliases': [
		`a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefgh'.replace(/./g, (c, i: number) => `${c}: &${c} [${Array(9).fill(`*${'abcdefgh'[i]}`)}]\n`)}`,
		400,
		/alias count/,
	],
	'aliases of long texts': [`a: &a ${half}\nb: [${Array(9).fill('*a')}]`, 400, /aliases make it larger than/],
	'aliases that nest what is nested': [
		`a: &a ${'['.repeat(100)}${']'.repeat(100)}\nb: ${'['.repeat(100)}*a${']'.repeat(100)}`,
		400,
		/nested too deeply/,
	],
	'lists in lists': ['['.repeat(1_000_000), 413, /nested deeper than 128 levels/],
	'mappings in mappings': [
		Array.from({ length: 200 }, (_, i) => `${' '.repeat(i)}a:\n`).join(''),
		413,
		/nested deeper/,
	],
	'more tokens than a body may have': ['- 1\n'.repeat(700_000), 413, /more than 200000 tokens; JSON may have/],
	'as many in brackets': [`[${'1,'.repeat(1_500_000)}]`, 413, /more than 200000 tokens/],
	'as many quotes': ['"'.repeat(3_000_000), 413, /more than 200000 tokens/],
	'as many comments': ['#\n'.repeat(1_500_000), 413, /more than 200000 tokens/],
	'as many directives': ['%A\n'.repeat(1_000_000), 413, /more than 200000 tokens/],
};
for (const [what, [text, code, message]] of Object.entries(refused))
	test(`a body in YAML is refused: ${what}`, async (t) => {
		const error = await t.throwsAsync(read(text), { instanceOf: ApiError, message });
		t.is(error?.code, code);
	});

test('a long text in YAML is taken as it is', async (t) => {
	const { value } = await read(`a: |\n${'  line\n'.repeat(400_000)}`);
	t.deepEqual(value, { a: 'line\n'.repeat(400_000) });
});

test('other work goes on while a long body is read', async (t) => {
	let turns = 0;
	let reading = true;
	const turn = () => {
		turns++;
		if (reading) setImmediate(turn);
	};
	setImmediate(turn);
	try {
		await read('- 1\n'.repeat(20_000));
	} finally {
		reading = false;
	}
	t.true(turns > 1, `${turns} turns of other work`);
});

test('what is applied in YAML is read as Kubernetes does, and doubled keys are told as fieldValidation asks', async (t) => {
	await using server = await serveTestApi();
	const path = '/api/v1/namespaces/default/pods/web';
	const volume = 'name: v\n    secret: {secretName: s, defaultMode: 0644, optional: yes}\n';
	const pod = `apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n  - name: c\n    image: one\n    image: two\n  volumes:\n  - ${volume}`;
	const apply = (text: string, validation: string) =>
		server.ask(`${path}?fieldManager=m&fieldValidation=${validation}`, {
			method: 'PATCH',
			headers: { 'content-type': 'application/apply-patch+yaml' },
			body: text,
		});
	const strict = await apply(pod, 'Strict');
	t.is(strict.code, 400);
	t.regex(strict.body.message, /strict decoding error: line 8: key "image" already set in map/);
	const warned = await apply(pod, 'Warn');
	t.is(warned.code, 201, warned.text);
	t.is(warned.headers.warning, '299 - "line 8: key \\"image\\" already set in map"');
	t.like(warned.body.spec.volumes[0], { secret: { secretName: 's', defaultMode: 420, optional: true } });
	t.is(warned.body.spec.containers[0].image, 'two');
	const flow = await apply(
		pod.replace('{name: web}', '{name: web, labels: {a: b}}').replace('    image: one\n', ''),
		'Strict',
	);
	t.deepEqual(flow.body.metadata.labels, { a: 'b' });
});
