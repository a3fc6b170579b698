import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import test from 'ava';
import { type Deployment, loadRegistry } from '../../src/kinds/index.ts';
import {
	createRenderer,
	formatProblem,
	type Rendered,
	type RenderOptions,
	validateBroken,
	validateManifest,
} from '../../src/sync/render/index.ts';
import { type Files, memoryTree } from './memory-tree.ts';

const render = (files: Files, options: Partial<RenderOptions> = {}): Promise<Rendered> =>
	createRenderer().render(memoryTree(files), { path: '', ...options });

const configMap = (name: string, data = 'key: one') =>
	`apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\ndata:\n  ${data}\n`;
const names = ({ manifests }: Rendered) => manifests.map((manifest) => manifest.object.metadata.name);
const problems = (rendered: Rendered) => rendered.problems.map(formatProblem);

test('renders YAML and JSON, many documents, Lists and sub-folders, in the order of paths', async (t) => {
	const rendered = await render({
		'b.yml': `---\n# nothing but a comment\n---\n${configMap('b1')}---\n---\n${configMap('b2')}`,
		'a.json': JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' } }),
		'sub/deep/c.yaml': `apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: c1}\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: c2}\n`,
		'README.md': '# no manifest',
		'.github/workflows/ci.yaml': 'on: push',
		'empty.yaml': '',
	});
	t.deepEqual(problems(rendered), []);
	t.deepEqual(names(rendered), ['a', 'b1', 'b2', 'c1', 'c2']);
	t.true(Object.isFrozen(rendered.manifests[0]?.object.metadata));
	t.deepEqual(rendered.manifests[2]?.position, { file: 'b.yml', line: 12, column: 1 });
	t.deepEqual(rendered.manifests[4]?.position, { file: 'sub/deep/c.yaml', line: 7, column: 3 });
});

test('a field is located at its key or list item, in documents, Lists, anchors and merges', async (t) => {
	const { manifests } = await render({
		'a.yaml': `# comment\n---\n${configMap('first')}---\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  labels: &labels\n    app: web\nspec:\n  replicas: 3\n  template:\n    metadata:\n      labels:\n        <<: *labels\n        tier: front\n    spec:\n      containers:\n      - name: one\n      - name: two\n        image: x\n`,
		'list.json':
			'{"kind": "List", "apiVersion": "v1", "items": [\n {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "l"},\n  "data": {"k": "v"}}]}',
	});
	const web = manifests[1];
	const at = (...path: (string | number)[]) => {
		const position = web?.locate(path);
		return `${position?.line}:${position?.column}`;
	};
	t.is(at(), '10:1');
	t.is(at('spec', 'replicas'), '17:3');
	t.is(at('spec', 'template', 'spec', 'containers', 1), '26:9');
	t.is(at('spec', 'template', 'spec', 'containers', 1, 'image'), '27:9');
	t.is(at('spec', 'template', 'metadata', 'labels', 'app'), '15:5', 'where the merged value is written');
	t.is(at('spec', 'template', 'spec', 'restartPolicy'), '23:5', 'the nearest ancestor');
	t.deepEqual(manifests[2]?.locate(['data', 'k']), { file: 'list.json', line: 3, column: 12 });
});

test('scalars are read as Kubernetes reads them', async (t) => {
	const { manifests } = await render({
		'a.yaml': configMap(
			'a',
			'octal: 0644\n  new: 0o17\n  yes: yes\n  off: off\n  time: 12:30:45\n  date: 2020-01-01\n  float: 1.5e3\n  nothing: ~\n  quoted: "0644"\n  hex: 0x1F\n  thousand: 1_000\n  version: 1.10.0',
		),
	});
	t.deepEqual(manifests[0]?.object.data, {
		octal: 420,
		new: 15,
		true: true,
		false: false,
		time: '12:30:45',
		date: '2020-01-01',
		float: 1500,
		nothing: null,
		quoted: '0644',
		hex: 31,
		thousand: 1000,
		version: '1.10.0',
	} as never);
});

test('what is no object is refused with its place; what does not pretend to be one is ignored', async (t) => {
	const rendered = await render({
		'a-tab.yaml': 'a:\n\tb: c\n',
		'b-list.yaml': '- {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}\n',
		'b-playbook.yaml': '- hosts: all\n',
		'c-scalar.yaml': '\n\nhello\n',
		'd-missing.yaml': 'kind: ConfigMap\nmetadata:\n  labels: {}\n',
		'e-generated.yaml': 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  generateName: x-\n',
		'f-number.yaml': 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: 123\n',
		'g-duplicate-key.yaml': 'apiVersion: v1\nkind: ConfigMap\nkind: Secret\nmetadata: {name: x}\n',
		'h-flow.yaml': `${configMap('h')}---\na: [1, 2\nb: c\n`,
		'i.json': '{"a": 1,}',
		'i-two.json': '{"a": 1}\n{"b": 2}\n',
		'j-binary.yaml': 'apiVersion: v1\nkind: Secret\nmetadata: {name: j}\ndata: {a: !!binary aGVsbG8=}\n',
		'j-pointer.yaml': 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n',
		'j-tag.yaml': 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: j}\ndata: {a: !secret x}\n',
		'k-anchor.yaml': 'apiVersion: v1\nkind: *missing\n',
		'l-values.yaml': 'replicas: 3\nimage: x\n',
		'package.json': '{"name": "x"}',
		'tsconfig.json': '["x"]',
	});
	t.deepEqual(problems(rendered), [
		'a-tab.yaml:2:1: a tab indents this line: YAML wants spaces',
		'b-list.yaml:1:1: expected a Kubernetes object, got a list',
		'c-scalar.yaml:3:1: expected a Kubernetes object, got the string "hello"',
		'd-missing.yaml:1:1: apiVersion: required, and missing',
		'd-missing.yaml:2:1: metadata.name: required, and missing',
		'e-generated.yaml:4:3: metadata.generateName: a synced object needs a name of its own: each sync would make another one of a generated name',
		'f-number.yaml:4:3: metadata.name: expected a string, got the integer 123: put it in quotes',
		'g-duplicate-key.yaml:3:1: this key stands twice in one mapping',
		...problems(rendered).filter((line) => line.startsWith('h-flow.yaml')),
		'i-two.json:2:1: not JSON: a file holds one document; put several objects into a List, or into a .yaml file',
		'i.json:1:9: not JSON: Expected double-quoted property name',
		'j-binary.yaml:4:11: the tag !!binary is not supported in manifests',
		'j-pointer.yaml:1:1: a pointer of Git LFS, whose content is not here: keep manifests in git itself',
		'j-tag.yaml:4:11: the tag !secret is not supported in manifests',
		...problems(rendered).filter((line) => line.startsWith('k-anchor.yaml')),
	]);
	t.regex(problems(rendered).join('\n'), /^h-flow\.yaml:9:\d+: /m);
	t.regex(problems(rendered).join('\n'), /^k-anchor\.yaml:2:7: the alias \*missing has no anchor &missing before it$/m);
	t.deepEqual(
		rendered.ignored.map(({ position }) => position.file),
		['b-playbook.yaml', 'l-values.yaml', 'package.json', 'tsconfig.json'],
	);
	t.deepEqual(names(rendered), ['h'], 'what is sound in a file with a fault is still known');
});

test('a long document is read whole, with pauses, and one that is too long is refused', async (t) => {
	const lines = Array.from({ length: 30_000 }, (_, n) => `  key${n}: value\n`);
	const map = (name: string, data: readonly string[]) =>
		`apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}}\ndata:\n${data.join('')}`;
	let turns = 0;
	let reading = true;
	const turn = () => {
		turns++;
		if (reading) setImmediate(turn);
	};
	setImmediate(turn);
	try {
		const rendered = await render({
			'long.yaml': map('long', lines),
			'twice.yaml': map('twice', [...lines, '  key7: other\n']),
			'tokens.yaml': map('tokens', [...lines, ...lines, ...lines, ...lines, ...lines]),
		});
		t.deepEqual(
			rendered.manifests.map(({ object }) => Object.keys(object.data as object).length),
			[30_000],
		);
		t.deepEqual(problems(rendered), [
			'tokens.yaml:125001:3: a document has more than 1000000 tokens',
			'twice.yaml:30005:3: this key stands twice in one mapping',
		]);
	} finally {
		reading = false;
	}
	t.true(turns > 10, `${turns} turns of other work`);
});

test('a manifest may have as many empty lines as it likes', async (t) => {
	const map = `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\n${'\n'.repeat(700_000)}data: {a: b}\n`;
	const rendered = await render({ 'm.yaml': map });
	t.deepEqual(problems(rendered), []);
	t.is(rendered.manifests[0]?.locate(['data', 'a']).line, 700_004);
});

test('an object that stands twice is refused with both places, also across versions and namespaces left out', async (t) => {
	const rendered = await render({
		'a.yaml': configMap('same'),
		'b/c.yaml': `${configMap('other')}---\n${configMap('same').replace('name: same', 'name: same\n  namespace: default')}`,
		'd.yaml': configMap('same').replace('name: same', 'name: same\n  namespace: elsewhere'),
	});
	t.deepEqual(problems(rendered), ['b/c.yaml:8:1: ConfigMap same is already defined at a.yaml:1:1']);
});

test('a link is not followed, and named', async (t) => {
	const rendered = await render({ 'a.yaml': { link: '/etc/passwd' }, shared: { link: '../elsewhere' } });
	t.deepEqual(problems(rendered), ['a.yaml:1:1: a symbolic link, which is not followed: put the file itself here']);
	t.deepEqual(rendered.ignored.map(formatProblem), ['shared:1:1: a symbolic link, which is not followed: ignored']);
});

test('what cannot be rendered is an error with its place, never an empty set; it can be left out by name', async (t) => {
	const files: Files = {
		'a.yaml': configMap('a'),
		'charts/shop/Chart.yaml': 'apiVersion: v2\nname: shop\n',
		'charts/shop/templates/b.yaml': configMap('{{ .Values.name }}'),
		'lib/c.jsonnet': '{}',
		'lib/c.libsonnet': '{}',
		vendor: 'submodule',
	};
	t.deepEqual(problems(await render(files)), [
		'charts/shop/Chart.yaml:1:1: a Helm chart, which is not rendered: put the output of `helm template` here, or leave it out with spec.source.directory.exclude',
		'lib/c.jsonnet:1:1: jsonnet, which is not rendered: put its output here, or leave it out with spec.source.directory.exclude',
		'vendor:1:1: a submodule, whose content is not fetched: put its files here, or leave it out with spec.source.directory.exclude',
	]);
	t.is(problems(await render(files, { path: 'charts/shop' })).length, 1);
	const without = await render(files, { exclude: '{charts/**,*.jsonnet,vendor}' });
	t.deepEqual(problems(without), []);
	t.deepEqual(names(without), ['a']);
});

test('what nearly is a manifest is told whole: what is missing, what is right, and what else is wrong', async (t) => {
	const rendered = await render({
		'a.yaml': 'kind: Deployment\nmetadata: {name: a}\nspec:\n  replicas: three\n  imag: x\n',
		'b.yaml': 'apiVersion: v1\nkind: pod\nmetadata: {name: b}\nspec:\n  hostname: 5\n',
		'c.yaml': 'Kind: Workflow\nname: c\n',
		'd.yaml': 'spec:\n  replicas: 1\n',
		'e.yaml': 'kind: Function\nmetadata: {name: e}\n',
		'f.yaml': 'apiVersion: v1\nKind: ConfigMap\nMetadata: {name: f}\n',
		'g.yaml': 'kind: Secret\nmetadata: {name: g}\ndata: {key: [hidden]}\n',
		'h.yaml': 'kind: NodeMetrics\napiVersion: metrics.k8s.io/v1beta1\nmetadata: {name: h}\n',
	});
	const registry = loadRegistry();
	const all = [
		...rendered.problems,
		...rendered.broken.flatMap((manifest) => validateBroken(manifest, registry)),
		...rendered.manifests.flatMap((manifest) => validateManifest(manifest, registry)),
	];
	t.deepEqual([...new Set(all.map(formatProblem))].sort(), [
		'a.yaml:1:1: apiVersion: required, and missing',
		'a.yaml:1:1: apiVersion: that of Deployment is apps/v1',
		'a.yaml:3:1: spec.selector: Required value',
		'a.yaml:3:1: spec.template: Required value',
		'a.yaml:4:3: spec.replicas: expected an integer, got the string "three"',
		'a.yaml:5:3: spec.imag: unknown field',
		'b.yaml:2:1: kind: there is no kind pod in v1: did you mean Pod (v1)?',
		'b.yaml:4:1: spec.containers: Required value',
		'b.yaml:5:3: spec.hostname: expected a string, got the integer 5: put it in quotes',
		'c.yaml:1:1: Kind: unknown field: did you mean kind?',
		'c.yaml:1:1: apiVersion: required, and missing',
		'c.yaml:1:1: metadata.name: required, and missing',
		'd.yaml:1:1: apiVersion: required, and missing',
		'd.yaml:1:1: kind: required, and missing',
		'd.yaml:1:1: metadata.name: required, and missing',
		'e.yaml:1:1: apiVersion: required, and missing',
		'e.yaml:1:1: kind: there is no kind Function',
		'f.yaml:2:1: Kind: unknown field: did you mean kind?',
		'f.yaml:3:1: Metadata: unknown field: did you mean metadata?',
		'g.yaml:1:1: apiVersion: required, and missing',
		'g.yaml:1:1: apiVersion: that of Secret is v1',
		'g.yaml:3:8: data.key: expected a base64 text, got a list',
		'h.yaml:1:1: kind: objects of kind NodeMetrics are computed: they can be read only',
	]);
	t.deepEqual(rendered.ignored, []);
});

test('the kind that was meant is named where it is a slip, and only there', async (t) => {
	const { manifests } = await render(
		Object.fromEntries(
			['Deploymnet', 'ApplicationSet', 'APIService', 'Services', 'pod'].map((kind) => [
				`${kind}.yaml`,
				`apiVersion: v1\nkind: ${kind}\nmetadata: {name: x}\n`,
			]),
		),
	);
	const registry = loadRegistry();
	t.deepEqual(
		manifests.map((manifest) => validateManifest(manifest, registry).map(({ message }) => message)[0]),
		[
			'there is no kind APIService in v1',
			'there is no kind ApplicationSet in v1',
			'there is no kind Deploymnet in v1: did you mean Deployment (apps/v1)?',
			'there is no kind Services in v1: did you mean Service (v1)?',
			'there is no kind pod in v1: did you mean Pod (v1)?',
		],
	);
});

test('brackets and quotes go on at any indentation, as in the reader of Kubernetes', async (t) => {
	const rendered = await render({
		'a.yaml': `${configMap('a')}---\n${configMap('b', 'key: [\n  x,\n  "y\n  z"\n  ]')}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  key: "one\n  two"\n  other: ["a",\n  "b"\n  ]\n  last: x\n`,
	});
	t.deepEqual(problems(rendered), []);
	t.deepEqual(names(rendered), ['a', 'b', 'c']);
	t.deepEqual(rendered.manifests[1]?.object.data, { key: ['x', 'y z'] } as never);
	t.deepEqual(rendered.manifests[2]?.object.data, { key: 'one two', other: ['a', 'b'], last: 'x' } as never);
	t.deepEqual(rendered.manifests[2]?.locate(['data', 'last']), { file: 'a.yaml', line: 28, column: 3 });
	t.deepEqual(rendered.manifests[2]?.position, { file: 'a.yaml', line: 19, column: 1 });
});

test('whatever is done to a manifest, it is read or its fault has a place', async (t) => {
	const whole = `${configMap('a')}---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: &n b, labels: {x: *n}}\nspec:\n  template:\n    spec:\n      containers:\n      - <<: {name: one}\n        args: ["a", 'b',\n          c]\n        command: |\n          run\n`;
	const bits = [
		'!x ',
		'[',
		'{',
		'"',
		"'",
		'&a ',
		'*a',
		'<<: *a\n',
		': ',
		'- ',
		'|\n',
		'\t',
		'---\n',
		'? ',
		'#',
		'%',
		'!!int ',
		'\n',
		'\u0000',
		',',
	];
	// The same mutations in each run: a failure can be looked at again.
	let seed = 1;
	const random = (below: number) => {
		seed = (seed * 48_271) % 2_147_483_647;
		return seed % below;
	};
	const texts = Array.from({ length: 300 }, () => {
		let text = whole;
		for (let i = random(4); i >= 0; i--) {
			const at = random(text.length);
			const bit = bits[random(bits.length)] ?? '';
			text = random(3) ? text.slice(0, at) + bit + text.slice(at) : text.slice(0, at) + text.slice(at + random(20));
		}
		return text;
	});
	texts.push(`a: [x,\ny: |\n  ${'['.repeat(100_000)}`, `a: [x,\n"${'\n['.repeat(1_000)}`);
	for (const text of texts) {
		const { problems: found } = await render({ 'a.yaml': text });
		for (const { position, message } of found) {
			t.true(position.line >= 1 && position.column >= 1, text);
			t.true(message.length > 0, text);
		}
	}
});

test('a merge of what is no mapping, and whatever else the YAML library stumbles over, has its line', async (t) => {
	const rendered = await render({
		'merge.yaml': 'apiVersion: v1\nkind: ConfigMap\nmetadata: &a x\ndata:\n  <<: *a\n',
		'list.yaml': 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  <<: [1]\n',
		'set.yaml': 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, [b]}\n',
		'template.yaml': 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Values.name }}\n',
		'tag.yaml': 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  !x true: y\n',
	});
	t.deepEqual(problems(rendered), [
		'list.yaml:5:3: a merge (<<) wants a mapping, or a list of mappings',
		'merge.yaml:5:3: a merge (<<) wants a mapping, or a list of mappings',
		'set.yaml:3:21: a list stands where a key should: a template that was not rendered, or quotes that are missing',
		'tag.yaml:5:3: the tag !x is not supported in manifests',
		'template.yaml:4:10: a mapping stands where a key should: a template that was not rendered, or quotes that are missing',
	]);
});

test('path, recurse, include and exclude select as Argo CD does', async (t) => {
	const files = {
		'root.yaml': configMap('root'),
		'app/a.yaml': configMap('a'),
		'app/b.yml': configMap('b'),
		'app/sub/c.yaml': configMap('c'),
		'app/sub/d.json': JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'd' } }),
	};
	const select = async (options: Partial<RenderOptions>) => names(await render(files, options));
	t.deepEqual(await select({ path: 'app' }), ['a', 'b', 'c', 'd']);
	t.deepEqual(await select({ path: './app/' }), ['a', 'b', 'c', 'd']);
	t.deepEqual(await select({ path: 'app', recurse: false }), ['a', 'b']);
	t.deepEqual(await select({ path: 'app', include: '*.yaml' }), ['a', 'c']);
	t.deepEqual(await select({ path: 'app', exclude: '{sub/*,b.yml}' }), ['a']);
	for (const [path, expected] of [
		['gone', /spec\.source\.path: there is no gone in the source/],
		['app/a.yaml', /spec\.source\.path: app\/a\.yaml is a file, not a folder/],
		['../etc', /spec\.source\.path: it leaves the source/],
	] as const) {
		const rendered = await render(files, { path });
		t.deepEqual(rendered.manifests, []);
		t.regex(problems(rendered).join('\n'), expected);
	}
});

test('files that would exhaust the reader are refused by name', async (t) => {
	let bomb = 'a0: &a0 [x, x, x, x, x, x, x, x, x]\n';
	for (let i = 1; i < 12; i++)
		bomb += `a${i}: &a${i} [${Array(9)
			.fill(`*a${i - 1}`)
			.join(', ')}]\n`;
	const wide = `big: &b ${'x'.repeat(100_000)}\nall: [${Array(100).fill('*b').join(', ')}]\n`;
	const head = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n';
	const rendered = await render({
		'bomb.yaml': head + bomb,
		'brackets.yaml': `${head}a: ${'['.repeat(1_000_000)}`,
		'dashes.yaml': `${head}a:\n${'- '.repeat(1_000_000)}`,
		'documents.yaml': '---\n{}\n'.repeat(20_000),
		'questions.yaml': '? '.repeat(500_000),
		'wide.yaml': head + wide,
	});
	t.deepEqual(
		problems(rendered).map((line) => line.replace(/:\d+:\d+:/, '')),
		[
			'bomb.yaml its aliases expand to more than 1000 nodes: refused, for it would exhaust memory',
			'brackets.yaml nested deeper than 100 levels',
			'dashes.yaml nested deeper than 100 levels',
			'documents.yaml more than 10000 documents in one file',
			'questions.yaml nested deeper than 100 levels',
			'wide.yaml the object is larger than 3 MiB, the most that the API takes',
		],
	);
});

test('a file is parsed once, and what has not changed is not even listed again', async (t) => {
	const renderer = createRenderer();
	const files: Record<string, string> = {};
	for (let i = 0; i < 50; i++) files[`d${i % 5}/f${i}.yaml`] = configMap(`f${i}`);
	const first = memoryTree(files);
	const one = await renderer.render(first, { path: '' });
	t.is(first.reads.length, 50);
	const same = memoryTree(files);
	t.is(await renderer.render(same, { path: '' }), one);
	t.deepEqual([same.reads, same.lists], [[], []]);
	const changed = memoryTree({ ...files, 'd2/f7.yaml': configMap('f7', 'key: two') });
	const two = await renderer.render(changed, { path: '' });
	t.deepEqual(changed.reads, ['d2/f7.yaml']);
	t.deepEqual(changed.lists, ['', 'd2']);
	const differing = two.manifests.filter((manifest, index) => manifest !== one.manifests[index]);
	t.deepEqual(
		differing.map(({ file }) => file),
		['d2/f7.yaml'],
	);
	const moved = memoryTree({ ...files, 'd9/f7.yaml': configMap('f7'), 'd2/f7.yaml': '' });
	const three = await renderer.render(moved, { path: '' });
	t.deepEqual(moved.reads, ['d2/f7.yaml'], 'a file that moved is known by its content');
	t.is(three.manifests.at(-1)?.position.file, 'd9/f7.yaml');
});

test('the hash is of the content, not of how it is written', async (t) => {
	const { manifests } = await render({
		'a.yaml': 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n  namespace: one\ndata: {b: "2", a: "1"}\n',
		'b.json': JSON.stringify({
			data: { a: '1', b: '2' },
			kind: 'ConfigMap',
			metadata: { namespace: 'one', name: 'x' },
			apiVersion: 'v1',
		}),
		'c.yaml': 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n  namespace: one\ndata: {b: "2", a: 1}\n',
	});
	t.is(manifests[0]?.hash, manifests[1]?.hash);
	t.not(manifests[0]?.hash, manifests[2]?.hash);
});

test('refusals from the schema name the field, its place, and what was probably meant', async (t) => {
	const registry = loadRegistry();
	const deployment = `apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: three\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec:\n      containers:\n        - name: web\n          imag: nginx\n          ports: 80\n`;
	const rendered = await render({
		'web/deployment.yaml': deployment,
		'x.yaml': 'apiVersion: apps/v1\nkind: Deploymnt\nmetadata: {name: x}\n',
		'y.yaml': 'apiVersion: extensions/v1beta1\nkind: Deployment\nmetadata: {name: why}\n',
		'quotes.yaml': configMap('q', 'port: 5432\n  on: "x"'),
		'secret.yaml':
			'apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: hunter2, b: 5432, c: {x: swordfish}}\nstringData: {d: 6543}\n',
		'z.yaml': 'apiVersion: example.com/v1\nkind: Zebra\nmetadata: {name: z}\n',
	});
	t.deepEqual(rendered.manifests.flatMap((manifest) => validateManifest(manifest, registry)).map(formatProblem), [
		'quotes.yaml:6:3: data.port: expected a string, got the integer 5432: put it in quotes',
		'secret.yaml:4:8: data.a: expected a base64 text; plain text belongs under stringData',
		'secret.yaml:4:20: data.b: expected a base64 text, got a number: put it in quotes',
		'secret.yaml:4:29: data.c: expected a base64 text, got a mapping',
		'secret.yaml:5:14: stringData.d: expected a string, got a number: put it in quotes',
		'web/deployment.yaml:6:3: spec.replicas: expected an integer, got the string "three"',
		'web/deployment.yaml:13:11: spec.template.spec.containers[0].imag: unknown field: did you mean image?',
		'web/deployment.yaml:14:11: spec.template.spec.containers[0].ports: expected a list, got the integer 80',
		'x.yaml:2:1: kind: there is no kind Deploymnt in apps/v1: did you mean Deployment (apps/v1)?',
		'y.yaml:1:1: apiVersion: there is no kind Deployment in extensions/v1beta1: did you mean apiVersion apps/v1?',
		'z.yaml:2:1: kind: there is no kind Zebra in example.com/v1',
	]);
	const zebra = rendered.manifests.at(-1);
	t.deepEqual(zebra && validateManifest(zebra, registry, { defines: () => true }), []);
});

test('kustomizations are built, overlays on their bases, with the positions of their sources', async (t) => {
	const files: Files = {
		'base/kustomization.yaml':
			'resources: [web.yaml]\nconfigMapGenerator:\n- name: settings\n  files: [app.conf]\ngeneratorOptions: {disableNameSuffixHash: true}\n',
		'base/web.yaml': `# the web\n${configMap('web')}`,
		'base/app.conf': 'x=1\n',
		'overlays/kustomization.yaml': 'resources: [../base]\nnamePrefix: prod-\npatches:\n- path: patch.yaml\n',
		'overlays/patch.yaml': configMap('web', 'key: patched'),
		'plain.yaml': configMap('plain'),
	};
	const renderer = createRenderer();
	const tree = memoryTree(files);
	const rendered = await renderer.render(tree, { path: '' });
	t.deepEqual(problems(rendered), []);
	t.deepEqual(names(rendered).sort(), ['plain', 'prod-settings', 'prod-web']);
	const web = rendered.manifests.find(({ object }) => object.metadata.name === 'prod-web');
	t.deepEqual(web?.object.data, { key: 'patched' } as never);
	t.deepEqual(web?.position, { file: 'base/web.yaml', line: 2, column: 1 });
	t.deepEqual(
		web?.locate(['data', 'key']),
		{ file: 'overlays/patch.yaml', line: 6, column: 3 },
		'what gave it its value',
	);
	t.is(web?.object.metadata.annotations, undefined);
	const settings = rendered.manifests.find(({ object }) => object.metadata.name === 'prod-settings');
	t.is(settings?.file, 'overlays/kustomization.yaml');
	const other = await renderer.render(memoryTree({ ...files, 'plain.yaml': configMap('plainer') }), { path: '' });
	t.true(other.manifests.includes(web as never), 'not built again when nothing of it changed');
	const changed = await renderer.render(memoryTree({ ...files, 'base/app.conf': 'x=2\n' }), { path: 'overlays' });
	t.deepEqual(changed.manifests.find(({ object }) => object.metadata.name === 'prod-settings')?.object.data, {
		'app.conf': 'x=2\n',
	} as never);
});

test('kustomizations that build upon one another in a circle are refused, and never taken for nothing', async (t) => {
	const { manifests, problems } = await render({
		'a/kustomization.yaml': 'resources: [../b, own.yaml]\n',
		'a/own.yaml': configMap('own'),
		'b/kustomization.yaml': 'resources: [../c]\n',
		'c/kustomization.yaml': 'resources: [../a]\n',
	});
	t.deepEqual(manifests, []);
	t.deepEqual(
		problems.map(({ position }) => position.file),
		['a', 'b', 'c'].map((folder) => `${folder}/kustomization.yaml`),
	);
	for (const { message } of problems) t.regex(message, /cycle/);
});

test('what kustomize built is traced to the file and the item that it came from', async (t) => {
	const deployment = (name: string, ...containers: string[]) =>
		`apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: ${name}\nspec:\n  template:\n    spec:\n      containers:\n${containers.map((each) => `      - ${each}\n`).join('')}`;
	const { manifests } = await render({
		'base/kustomization.yaml': 'resources: [web.yaml, web-admin.yaml]\n',
		'base/web.yaml': deployment('web', '{name: one, image: a}', '{name: two, image: b}'),
		'base/web-admin.yaml': deployment('web-admin', '{name: one, image: c}'),
		'top/kustomization.yaml':
			'resources: [../base]\nnamePrefix: my-\npatches: [{path: patch.yaml}]\nreplicas: [{name: web, count: 3}]\n',
		'top/patch.yaml': deployment('web', '{name: two, image: patched}'),
	});
	const at = (name: string, ...field: (string | number)[]) => {
		const place = manifests.find(({ object }) => object.metadata.name === name)?.locate(field);
		return `${place?.file}:${place?.line}`;
	};
	const images = ['spec', 'template', 'spec', 'containers'];
	const web = manifests.find(({ object }) => object.metadata.name === 'my-web')?.object as unknown as Deployment;
	// A patch moves the items that it names to the front.
	const index = (name: string) => web.spec.template.spec?.containers.findIndex((each) => each.name === name) ?? -1;
	t.is(at('my-web', ...images, index('one'), 'image'), 'base/web.yaml:9');
	t.is(at('my-web', ...images, index('two'), 'image'), 'top/patch.yaml:9');
	t.is(at('my-web', 'spec', 'replicas'), 'top/kustomization.yaml:1');
	t.is(at('my-web-admin', ...images, 0, 'image'), 'base/web-admin.yaml:9', 'a name within another is not taken for it');
});

test('a generator of kustomize fetches nothing', async (t) => {
	let asked = 0;
	const server = createServer((_, response) => {
		asked++;
		response.end('a=b\n');
	});
	await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
	t.teardown(() => server.close());
	const { port } = server.address() as AddressInfo;
	const url = `http://127.0.0.1:${port}/x`;
	for (const [field, value] of [
		['files', `[k=${url}]`],
		['files', `["${url}"]`],
		['envs', `["${url}"]`],
		['env', url],
	]) {
		const rendered = await render({ 'kustomization.yaml': `configMapGenerator:\n- name: a\n  ${field}: ${value}\n` });
		t.regex(
			problems(rendered).join('\n'),
			/^kustomization\.yaml:1:1: envs?|files: http:.* is remote, and nothing is fetched/,
			field,
		);
	}
	// Where kustomize takes a plugin's configuration from, it takes a URL from, too.
	const generator = (name: string) =>
		`apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: ${name}}\nenvs: ["${url}"]\n`;
	const quiet = 'apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: b}\nliterals: [a=b]\n';
	const inPlace = `generators:\n- |-\n${generator('a').replace(/^/gm, '  ')}`;
	const places: Record<string, Readonly<Record<string, string>>> = {
		'with a question that looks like a key': {
			'kustomization.yaml': `configMapGenerator:\n- name: a\n  envs: ["${url}?a=b"]\n`,
		},
		'in place': { 'kustomization.yaml': inPlace },
		'in the second document': {
			'kustomization.yaml': 'generators: [two.yaml]\n',
			'two.yaml': `${quiet}---\n${generator('a')}`,
		},
		'in a folder': {
			'kustomization.yaml': 'generators: [folder]\n',
			'folder/kustomization.yaml': 'resources: [one.yaml]\n',
			'folder/one.yaml': generator('a'),
		},
		'by a patch in a folder': {
			'kustomization.yaml': 'generators: [folder]\n',
			'folder/kustomization.yaml':
				'resources: [one.yaml]\npatches: [{path: patch.yaml, target: {kind: ConfigMapGenerator}}]\n',
			'folder/one.yaml': quiet,
			'folder/patch.yaml': `- {op: add, path: /envs, value: ["${url}"]}\n`,
		},
		'by a patch in place in a folder': {
			'kustomization.yaml': 'generators: [folder]\n',
			'folder/kustomization.yaml': `resources: [one.yaml]\npatches: [{patch: '[{"op": "add", "path": "/envs", "value": ["${url}"]}]', target: {kind: ConfigMapGenerator}}]\n`,
			'folder/one.yaml': quiet,
		},
		'by a transformer': {
			'kustomization.yaml': 'resources: [map.yaml]\ntransformers: [patch.yaml]\n',
			'map.yaml': 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n',
			'patch.yaml': `apiVersion: builtin\nkind: PatchStrategicMergeTransformer\nmetadata: {name: a}\npaths: ["${url}"]\n`,
		},
		'in a field in capitals': { 'kustomization.yaml': `ConfigMapGenerator:\n- name: a\n  ENVS: ["${url}"]\n` },
		'in a field with other letters of the same case': { 'kustomization.yaml': `re\u017fource\u017f: ["${url}"]\n` },
		'in place, in a field in capitals': {
			'kustomization.yaml': inPlace.replace(/generators|envs/g, (name) => name.toUpperCase()),
		},
	};
	for (const [how, files] of Object.entries(places))
		t.regex(problems(await render(files)).join('\n'), /http:.* is remote, and nothing is fetched/, how);
	t.is(asked, 0);
	const good = await render({ 'kustomization.yaml': 'generators: [one.yaml]\n', 'one.yaml': quiet });
	t.deepEqual(problems(good), []);
	const patched = await render({
		'kustomization.yaml': 'generators: [folder]\n',
		'folder/kustomization.yaml':
			'resources: [one.yaml]\npatches: [{path: patch.yaml, target: {kind: ConfigMapGenerator}}]\n',
		'folder/one.yaml': quiet.replace('a=b', '"a=https://example.com"'),
		'folder/patch.yaml': '- {op: add, path: /options, value: {disableNameSuffixHash: true}}\n',
	});
	t.deepEqual(problems(patched), []);
	t.deepEqual(
		patched.manifests.map(({ object }) => object.metadata.name),
		['b'],
	);
});

test('a kustomization of very many fields is read with pauses, and one of too many is refused', async (t) => {
	const fields = Array.from({ length: 200_000 }, (_, i) => `  k${i}: v\n`).join('');
	let turns = 0;
	const ticking = setInterval(() => turns++);
	const rendered = await render({ 'kustomization.yaml': `commonAnnotations:\n${fields}` });
	clearInterval(ticking);
	t.deepEqual(problems(rendered), ['kustomization.yaml:1:1: a document has more than 1000000 tokens']);
	t.true(turns > 10, `other work had ${turns} turns`);
});

test('a kustomization that is broken or wants the network is refused in one line', async (t) => {
	const rendered = await render({
		'a/kustomization.yaml': 'resources: [missing.yaml]\n',
		'b/kustomization.yaml': 'resources:\n- https://example.com/x.yaml\n- github.com/org/repo//base?ref=v1\n',
		'c/kustomization.yaml': 'resources: [link.yaml]\n',
		'c/link.yaml': { link: '/etc/passwd' },
		'd/kustomization.yaml': 'resources: [../../../etc/passwd]\n',
		'e/kustomization.yaml': 'resources: [f]\n',
		'e/f/kustomization.yaml': 'components: [x/../../../../outside]\n',
	});
	const lines = problems(rendered);
	t.regex(lines.join('\n'), /^a\/kustomization\.yaml:1:1: kustomize: .*missing\.yaml/m);
	t.regex(lines.join('\n'), /^b\/kustomization\.yaml:1:1: resources: https:\/\/example\.com\/x\.yaml is remote/m);
	t.regex(
		lines.join('\n'),
		/^b\/kustomization\.yaml:1:1: resources: github\.com\/org\/repo\/\/base\?ref=v1 is remote/m,
	);
	t.regex(lines.join('\n'), /^c\/link\.yaml:1:1: a symbolic link/m);
	t.regex(lines.join('\n'), /^d\/kustomization\.yaml:1:1: resources: .*passwd leads out of the source/m);
	t.regex(lines.join('\n'), /^e\/f\/kustomization\.yaml:1:1: components: .* leads out of the source/m);
	t.is(lines.length, 6);
	t.notRegex(lines.join('\n'), /driftless-kustomize-|run\.go/);
});
