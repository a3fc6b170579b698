/**
 * YAML as Kubernetes reads it, in the bodies of requests and in manifests alike: YAML 1.2 core plus the booleans and octal
 * numbers of YAML 1.1, as the Go parser behind Kubernetes (sigs.k8s.io/yaml) resolves plain scalars.
 */
import { setImmediate } from 'node:timers/promises';
import {
	Composer,
	type Document,
	isMap,
	isScalar,
	isSeq,
	Lexer,
	type Node,
	Parser,
	type ScalarTag,
	Schema,
	type Tags,
} from 'yaml';

/** `yes` is a boolean, and so are `y`, `on` and their opposites. */
const truth = /^(?:[Yy]|[Yy]es|YES|[Tt]rue|TRUE|[Oo]n|ON)$/;
const untruth = /^(?:[Nn]|[Nn]o|NO|[Ff]alse|FALSE|[Oo]ff|OFF)$/;
const bool: ScalarTag[] = [
	{ tag: 'tag:yaml.org,2002:bool', default: true, test: truth, resolve: () => true },
	{ tag: 'tag:yaml.org,2002:bool', default: true, test: untruth, resolve: () => false },
];
const digits = (text: string) => text.replaceAll('_', '');
const integer = (test: RegExp, skip: number, radix: number): ScalarTag => ({
	tag: 'tag:yaml.org,2002:int',
	default: true,
	test,
	resolve: (text) => {
		const sign = /^[-+]/.test(text) ? 1 : 0;
		const value = Number.parseInt(digits(text.slice(sign + skip)), radix);
		return text.startsWith('-') ? -value : value;
	},
});
/** `0644` is octal. */
const integers = [
	integer(/^[-+]?0o[0-7_]+$/, 2, 8),
	integer(/^[-+]?0[0-7_]+$/, 1, 8),
	integer(/^[-+]?[0-9][0-9_]*$/, 0, 10),
	integer(/^[-+]?0x[0-9a-fA-F_]+$/, 2, 16),
	integer(/^[-+]?0b[01_]+$/, 2, 2),
];
const isTagged = (name: string) => (tag: Tags[number]) => typeof tag === 'object' && tag.tag.endsWith(`:${name}`);
const customTags = (core: Tags): Tags => [
	...core.filter((tag) => !isTagged('bool')(tag) && !isTagged('int')(tag) && !isTagged('float')(tag)),
	...bool,
	...integers,
	...core.filter(isTagged('float')),
];

/** Made once: the parser would make it anew for each document. */
const schema = new Schema({ schema: 'core', merge: true, customTags, resolveKnownTags: false });
// Its tags by name, of which it has none: the parser would take a tag `constructor` from Object's prototype, and add what it finds to
// the tags of all documents to come.
schema.knownTags = Object.create(null);

/** Options of the parser. Keys are compared here (duplicateKeys): the parser compares each with all before it. Tags of other types (`!!binary`, `!!timestamp`, `!!set`) make values that JSON has not: they are faults. */
export const kubernetesYaml = {
	schema,
	prettyErrors: false,
	uniqueKeys: false,
	logLevel: 'error',
} as const;

/** The keys that stand twice in one mapping, with the offset of each but the first, in their order. */
export function duplicateKeys(document: Document.Parsed): { readonly name: string; readonly offset: number }[] {
	const found: { readonly name: string; readonly offset: number }[] = [];
	const visit = (node: unknown): void => {
		if (isSeq(node)) for (const item of node.items) visit(item);
		if (!isMap(node)) return;
		const keys = new Set<string>();
		for (const { key, value } of node.items) {
			if (!isScalar(key)) visit(key);
			else if (key.source !== '<<') {
				const name = String(key.value);
				if (keys.has(name)) found.push({ name, offset: key.range?.[0] ?? 0 });
				keys.add(name);
			}
			visit(value);
		}
	};
	visit(document.contents);
	return found.sort((a, b) => a.offset - b.offset);
}

/** A text has more of something than it may. */
export class YamlTooLarge extends Error {
	override readonly name = 'YamlTooLarge';
	/** Where it became too much. */
	readonly offset: number;
	constructor(message: string, offset: number) {
		super(message);
		this.offset = offset;
	}
}

export interface YamlLimits {
	/** Mappings and lists inside one another. */
	readonly depth: number;
	/** Names, values, marks, spaces and line ends of one document: what its parsing costs follows them, and not its length. */
	readonly tokens: number;
}

/** Milliseconds of parsing, of one text or of several, after which other work of the process gets its turn. */
const SLICE = 8;
/** Tokens between two looks at the clock, which costs as much as some tokens do. */
const TOKENS_PER_LOOK = 256;
let sliceStart = 0;

/**
 * The documents of a text, which is taken apart in slices, so that a long one does not keep the process from other work.
 * A key that stands twice in a mapping is no error here. Throws YamlTooLarge.
 */
export async function* composeYaml(text: string, most: YamlLimits): AsyncGenerator<Document.Parsed> {
	for (const document of compose(text, most)) {
		if (document) yield document;
		if (performance.now() - sliceStart < SLICE) continue;
		await setImmediate();
		sliceStart = performance.now();
	}
}

/** The documents of a text, with undefined between them where the clock is to be looked at. */
function* compose(text: string, most: YamlLimits): Generator<Document.Parsed | undefined> {
	const composer = new Composer<Node & Document.Parsed['contents']>(
		kubernetesYaml as ConstructorParameters<typeof Composer>[0],
	);
	const parser = new Parser();
	let tokens = 0;
	let look = TOKENS_PER_LOOK;
	for (const lexeme of new Lexer().lex(text)) {
		for (const token of parser.next(lexeme)) {
			if (token.type === 'document') tokens = 0;
			yield* composer.next(token) as Iterable<Document.Parsed>;
		}
		if (++tokens > most.tokens) throw new YamlTooLarge(`a document has more than ${most.tokens} tokens`, parser.offset);
		// The parser keeps its own stack, the composer recurses: what is too deep must not get that far.
		if (parser.stack.length > most.depth + 1)
			throw new YamlTooLarge(`nested deeper than ${most.depth} levels`, parser.offset);
		if (--look > 0) continue;
		look = TOKENS_PER_LOOK;
		yield undefined;
	}
	for (const token of parser.end()) yield* composer.next(token) as Iterable<Document.Parsed>;
	yield* composer.end() as Iterable<Document.Parsed>;
}
