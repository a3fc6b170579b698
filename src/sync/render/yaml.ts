/** Manifests in YAML: the documents of a stream, where what is in them stands, and guards against documents made to exhaust the reader. */
import {
	type Alias,
	Composer,
	type CST,
	type Document,
	isAlias,
	isMap,
	isNode,
	isPair,
	isScalar,
	isSeq,
	Lexer,
	type Node,
	Parser,
	parseDocument,
	visit,
	type YAMLMap,
} from 'yaml';
import { composeYaml, duplicateKeys, kubernetesYaml, YamlTooLarge } from '../../yaml.ts';
import { MAX_ALIASES, MAX_DEPTH, MAX_DOCUMENTS, MAX_FREE_FORM, MAX_TOKENS } from './limits.ts';

/** A place in a text, in UTF-16 units from its start, and what is wrong there. */
export interface Fault {
	readonly offset: number;
	readonly message: string;
}

export interface YamlDocument {
	readonly ast: Document.Parsed;
	/** What the positions of `ast` count from. */
	readonly base: number;
	/** The document's slice of the text, for reparse(). */
	readonly start: number;
	readonly end: number;
	/** Where its content begins. */
	readonly offset: number;
	/** Undefined for an empty document. */
	readonly value: unknown;
	/** Where there are any, `value` is undefined. */
	readonly faults: readonly Fault[];
}

const options = kubernetesYaml;

type Composed = Node & Document.Parsed['contents'];
const createComposer = () => new Composer<Composed>(options as ConstructorParameters<typeof Composer>[0]);

/** The documents of a text, one at a time and with pauses for other work. Ends after the first fault that makes the rest meaningless. */
export async function* parseYaml(text: string): AsyncGenerator<YamlDocument> {
	let stop: Fault | undefined;
	let count = 0;
	try {
		for await (const ast of composeYaml(text, { depth: MAX_DEPTH, tokens: MAX_TOKENS })) {
			const document = read(ast, text);
			if (++count > MAX_DOCUMENTS) {
				stop = { offset: document.offset, message: `more than ${MAX_DOCUMENTS} documents in one file` };
				break;
			}
			yield document;
		}
	} catch (cause) {
		if (!(cause instanceof YamlTooLarge)) throw cause;
		stop = { offset: cause.offset, message: cause.message };
	}
	if (stop) {
		const ast = parseDocument('', options as Parameters<typeof parseDocument>[1]);
		yield { ast, base: 0, start: stop.offset, end: stop.offset, offset: stop.offset, value: undefined, faults: [stop] };
	}
}

/** Parses one document again, from its slice of the text: positions are rarely asked for, and their tree is large. */
export function reparse(text: string, start: number, end: number): Document.Parsed {
	const slice = text.slice(start, end);
	const ast = parseDocument(slice, options as Parameters<typeof parseDocument>[1]) as Document.Parsed;
	return (ast.errors.length > 0 && parseFreely(slice)) || ast;
}

/**
 * A document whose brackets and quotes go on at any indentation, as libyaml has it, which Kubernetes reads with (YAML asks for more
 * than that of the key). Undefined where it is faulty all the same: then the strict reading names the better place.
 */
function parseFreely(slice: string): Document.Parsed | undefined {
	if (slice.length > MAX_FREE_FORM) return undefined;
	const lexer = new Lexer();
	// The lexer's own notion of the least indentation: no option of the library says it.
	const inside = lexer as unknown as Record<'parseFlowCollection' | 'parseQuotedScalar', () => Generator> & {
		indentNext: number;
	};
	for (const part of ['parseFlowCollection', 'parseQuotedScalar'] as const) {
		const parse = inside[part];
		inside[part] = function* () {
			const before = inside.indentNext;
			inside.indentNext = 0;
			const next = yield* parse.call(inside);
			inside.indentNext = before;
			return next;
		};
	}
	const parser = new Parser();
	const tokens: CST.Token[] = [];
	for (const lexeme of lexer.lex(slice)) {
		tokens.push(...parser.next(lexeme));
		if (parser.stack.length > MAX_DEPTH + 1) return undefined;
	}
	tokens.push(...parser.end());
	const [ast, more] = [...createComposer().compose(tokens)] as Document.Parsed[];
	return ast && !more && ast.errors.length === 0 ? ast : undefined;
}

function read(given: Document.Parsed, text: string): YamlDocument {
	const faulty = given.errors.length > 0;
	const [start, , last] = given.range;
	// A faulty document may seem to end before it does.
	const end = faulty ? markerAfter(text, given.contents?.range[0] ?? last) : last;
	const free = faulty ? parseFreely(text.slice(start, end)) : undefined;
	const ast = free ?? given;
	/** Its positions count from the beginning of the slice that it was read from. */
	const base = free ? start : 0;
	const offset = base + (ast.contents?.range[0] ?? start - base);
	const document = { ast, base, start, end, offset };
	const faultAt = (at: number, message: string): Fault => ({ offset: base + at, message });
	// The one warning that matters: what is otherwise warned of is read as it was meant.
	const complaints = [...ast.errors, ...ast.warnings.filter(({ code }) => code === 'TAG_RESOLVE_FAILED')];
	const faults = complaints.map((error) => faultAt(error.pos[0], say(error)));
	for (const { offset } of duplicateKeys(ast)) faults.push(faultAt(offset, 'this key stands twice in one mapping'));
	const key = faults.length === 0 && mayHaveKey.test(text.slice(start, end)) ? keyFault(ast) : undefined;
	if (key) faults.push(faultAt(key.offset, key.message));
	if (faults.length) return { ...document, value: undefined, faults };
	try {
		return { ...document, value: ast.toJS({ maxAliasCount: MAX_ALIASES }) ?? undefined, faults: [] };
	} catch (error) {
		const fault = mergeFault(ast) ?? (error instanceof ReferenceError ? aliasFault(ast, error) : undefined);
		const message = error instanceof Error ? error.message : String(error);
		return {
			...document,
			value: undefined,
			faults: [fault ? faultAt(fault.offset, fault.message) : { offset, message: lowerFirst(message) }],
		};
	}
}

/** Where the next marker of a document's end or beginning stands, or the text ends. */
function markerAfter(text: string, from: number): number {
	const marker = /^(?:---|\.\.\.)(?=\s|$)/gm;
	marker.lastIndex = from;
	return marker.exec(text)?.index ?? text.length;
}

/** Whether it is worth looking for a key that is no scalar: `{{ .Values.name }}`, `[a]: b`, `? `. */
const mayHaveKey = /[{,?]\s*[{[]|[}\]]\s*:|^[ \t]*\?\s/m;

function keyFault(ast: Document.Parsed): Fault | undefined {
	let fault: Fault | undefined;
	visit(ast, {
		Pair(_, { key }) {
			if (!isMap(key) && !isSeq(key)) return undefined;
			const what = isMap(key) ? 'a mapping' : 'a list';
			fault = {
				offset: key.range?.[0] ?? 0,
				message: `${what} stands where a key should: a template that was not rendered, or quotes that are missing`,
			};
			return visit.BREAK;
		},
	});
	return fault;
}

/** A merge key (`<<`) whose value is no mapping, nor a list of them. */
function mergeFault(ast: Document.Parsed): Fault | undefined {
	let fault: Fault | undefined;
	visit(ast, {
		Pair(_, { key, value }) {
			if (!isScalar(key) || key.source !== '<<') return undefined;
			const merged = target(value, ast);
			const all = isSeq(merged) ? merged.items : [merged];
			if (all.every((item) => isMap(target(item, ast)))) return undefined;
			fault = { offset: key.range?.[0] ?? 0, message: 'a merge (<<) wants a mapping, or a list of mappings' };
			return visit.BREAK;
		},
	});
	return fault;
}

/** What is wrong with the aliases of a document that could not be resolved. */
function aliasFault(ast: Document.Parsed, error: ReferenceError): Fault | undefined {
	const bomb = /alias count/i.test(error.message);
	let fault: Fault | undefined;
	const anchors = new Set<string>();
	visit(ast, {
		Value(_, { anchor }) {
			if (anchor) anchors.add(anchor);
		},
		Alias(_, alias) {
			if (!bomb && anchors.has(alias.source)) return undefined;
			const message = bomb
				? `its aliases expand to more than ${MAX_ALIASES} nodes: refused, for it would exhaust memory`
				: `the alias *${alias.source} has no anchor &${alias.source} before it`;
			fault = { offset: alias.range?.[0] ?? 0, message };
			return visit.BREAK;
		},
	});
	return fault;
}

/** The parser's errors in the words of a person. */
function say(error: { readonly code: string; readonly message: string }): string {
	const message = error.message.replace(/\s+at line \d+, column \d+.*$/s, '');
	switch (error.code) {
		case 'TAB_AS_INDENT':
			return 'a tab indents this line: YAML wants spaces';
		case 'TAG_RESOLVE_FAILED':
			return `${message.replace(/^Unresolved tag: /, 'the tag ').replace('tag:yaml.org,2002:', '!!')} is not supported in manifests`;
		default:
			return lowerFirst(message);
	}
}

const lowerFirst = (text: string) => text.charAt(0).toLowerCase() + text.slice(1);

/**
 * Offset of a field in a document's own text: of the key in a mapping, of the item in a list. Where the path leaves what
 * is written, of the nearest ancestor that is. Follows aliases and merge keys to where the value stands.
 */
export function offsetOf(ast: Document.Parsed, path: readonly (string | number)[]): number {
	let node: unknown = ast.contents;
	let offset = startOf(node) ?? 0;
	for (const step of path) {
		const found = child(target(node, ast), step, ast);
		if (!found) break;
		offset = startOf(found.at) ?? offset;
		node = found.value;
	}
	return offset;
}

function child(
	node: unknown,
	step: string | number,
	ast: Document.Parsed,
): { at: unknown; value: unknown } | undefined {
	if (isSeq(node)) {
		const value = node.items[Number(step)];
		return value === undefined ? undefined : { at: value, value };
	}
	return isMap(node) ? entry(node, String(step), ast, 0) : undefined;
}

function entry(
	map: YAMLMap,
	key: string,
	ast: Document.Parsed,
	depth: number,
): { at: unknown; value: unknown } | undefined {
	let merged: { at: unknown; value: unknown } | undefined;
	for (const pair of map.items) {
		if (!isPair(pair) || !isScalar(pair.key)) continue;
		if (String(pair.key.value) === key) return { at: pair.key, value: pair.value };
		if (pair.key.source !== '<<' || depth > MAX_DEPTH) continue;
		const source = target(pair.value, ast);
		for (const part of isSeq(source) ? source.items : [source]) {
			const inner = target(part, ast);
			merged ??= isMap(inner) ? entry(inner, key, ast, depth + 1) : undefined;
		}
	}
	return merged;
}

const target = (node: unknown, ast: Document.Parsed): unknown => (isAlias(node) ? (node as Alias).resolve(ast) : node);

const startOf = (node: unknown): number | undefined => (isNode(node) ? node.range?.[0] : undefined);
