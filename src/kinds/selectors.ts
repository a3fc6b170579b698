/**
 * Label and field selectors, parsed once into predicates.
 * Source: Kubernetes documentation, "Labels and Selectors" and "Field Selectors".
 */
import type { Kind } from './kind.ts';
import { isFields } from './mergetype.ts';
import { labelValue, qualifiedName } from './names.ts';
import type { KubeObject } from './object.ts';
import { badRequest } from './status.ts';

export type Labels = Readonly<Record<string, string>>;

/** Whether labels match. Absent labels are none. */
export type LabelPredicate = (labels: Labels | undefined) => boolean;

/** A LabelSelector object, as specs have it. */
export interface LabelSelector {
	readonly matchLabels?: Labels;
	readonly matchExpressions?: readonly {
		readonly key: string;
		readonly operator: string;
		readonly values?: readonly string[];
	}[];
}

export interface Requirement {
	readonly key: string;
	readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist' | 'Gt' | 'Lt';
	readonly values: readonly string[];
}

/** Parses `a=b,c!=d,e in (x,y),f notin (z),g,!h,i>1`; the empty text has no requirements. Throws ApiError BadRequest. */
export function parseLabelSelector(text: string): Requirement[] {
	const requirements: Requirement[] = [];
	const tokens = tokenize(text);
	let next = 0;
	while (next < tokens.length) {
		requirements.push(requirement());
		if (next === tokens.length) break;
		if (tokens[next] !== ',') throw malformed(`found '${tokens[next]}', expected: ',' or 'end of string'`);
		if (++next === tokens.length) throw malformed("found '', expected: identifier after ','");
	}
	return requirements;

	function requirement(): Requirement {
		if (tokens[next] === '!') {
			next++;
			return { key: keyToken(), operator: 'DoesNotExist', values: [] };
		}
		const key = keyToken();
		const operator = tokens[next];
		if (operator === undefined || operator === ',') return { key, operator: 'Exists', values: [] };
		next++;
		switch (operator) {
			case '=':
			case '==':
				return { key, operator: 'In', values: [valueToken()] };
			case '!=':
				return { key, operator: 'NotIn', values: [valueToken()] };
			case '>':
			case '<': {
				const value = valueToken();
				if (integerOf(value) === undefined) throw malformed("for 'Gt', 'Lt' operators, the value must be an integer");
				return { key, operator: operator === '>' ? 'Gt' : 'Lt', values: [value] };
			}
			case 'in':
			case 'notin':
				return { key, operator: operator === 'in' ? 'In' : 'NotIn', values: valueList() };
			default:
				throw malformed(`found '${operator}', expected: in, notin, =, ==, !=, gt, lt`);
		}
	}

	function keyToken(): string {
		const key = tokens[next++] ?? '';
		if (isSymbol(key) || !key) throw malformed(`found '${key}', expected: !, identifier, or 'end of string'`);
		const [wrong] = qualifiedName(key);
		if (wrong) throw malformed(`key: Invalid value: ${JSON.stringify(key)}: ${wrong}`);
		return key;
	}

	function valueToken(): string {
		// `a=` and `a=,b` select the empty value.
		const token = tokens[next];
		if (token === undefined || token === ',' || token === ')') return '';
		if (isSymbol(token)) throw malformed(`found '${token}', expected: identifier`);
		next++;
		const [wrong] = labelValue(token);
		if (wrong) throw malformed(`values[0]: Invalid value: ${JSON.stringify(token)}: ${wrong}`);
		return token;
	}

	function valueList(): string[] {
		if (tokens[next] !== '(') throw malformed(`found '${tokens[next] ?? ''}', expected: '('`);
		next++;
		const values = [valueToken()];
		while (tokens[next] === ',') {
			next++;
			values.push(valueToken());
		}
		if (tokens[next] !== ')') throw malformed(`found '${tokens[next] ?? ''}', expected: ',' or ')'`);
		next++;
		return values;
	}
}

/** The predicate of a selector's text. Throws ApiError BadRequest. */
export function labelPredicate(text: string): LabelPredicate {
	return matchRequirements(parseLabelSelector(text));
}

/**
 * The predicate of a LabelSelector object: the empty selector matches everything, an absent one nothing. Throws RangeError
 * for an operator that does not exist.
 */
export function selectorPredicate(selector: LabelSelector | null | undefined): LabelPredicate {
	return selector ? matchRequirements(requirementsOf(selector)) : () => false;
}

/** The requirements of a LabelSelector object. Throws RangeError for an operator that does not exist. */
export function requirementsOf(selector: LabelSelector): Requirement[] {
	const requirements = Object.entries(selector.matchLabels ?? {}).map(([key, value]) => equal(key, value));
	for (const { key, operator, values } of selector.matchExpressions ?? []) {
		if (operator !== 'In' && operator !== 'NotIn' && operator !== 'Exists' && operator !== 'DoesNotExist')
			throw new RangeError(`${JSON.stringify(operator)} is not a valid label selector operator`);
		requirements.push({ key, operator, values: values ?? [] });
	}
	return requirements;
}

/** The text form of a LabelSelector, sorted by key as Kubernetes prints it. What is no part of one is left out. */
export function formatLabelSelector(selector: LabelSelector | null | undefined): string {
	const { matchLabels, matchExpressions } = selector ?? {};
	const terms = Object.entries(matchLabels ?? {}).map(([key, value]) => ({ key, text: `${key}=${value}` }));
	for (const { key, operator, values } of Array.isArray(matchExpressions) ? matchExpressions : []) {
		const list = Array.isArray(values) ? [...values].sort().join(',') : '';
		if (operator === 'In') terms.push({ key, text: `${key} in (${list})` });
		else if (operator === 'NotIn') terms.push({ key, text: `${key} notin (${list})` });
		else if (operator === 'Exists') terms.push({ key, text: key });
		else if (operator === 'DoesNotExist') terms.push({ key, text: `!${key}` });
	}
	const sorted = terms.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
	return sorted.map(({ text }) => text).join(',');
}

/** The text form of a selector as kinds have it: a LabelSelector, a plain map (as of Services), or text already. */
export function selectorText(selector: unknown): string | undefined {
	if (typeof selector === 'string') return selector;
	if (!isFields(selector)) return undefined;
	const isLabelSelector = 'matchLabels' in selector || 'matchExpressions' in selector;
	return formatLabelSelector(isLabelSelector ? selector : { matchLabels: selector as Record<string, string> });
}

/** The predicate of requirements, all of which must hold. */
export function matchRequirements(requirements: readonly Requirement[]): LabelPredicate {
	const tests = requirements.map(testOf);
	const [only] = tests;
	if (!only) return () => true;
	if (tests.length === 1) return (labels) => only(labels ?? none);
	return (labels) => {
		const present = labels ?? none;
		for (const test of tests) if (!test(present)) return false;
		return true;
	};
}

/** One term of a field selector. */
export interface FieldTerm {
	readonly path: string;
	readonly value: string;
	readonly negated: boolean;
}

/** Parses `metadata.name=x,status.phase!=Running`; `\` escapes `,`, `=` and itself in values. Throws ApiError BadRequest. */
export function parseFieldSelector(text: string): FieldTerm[] {
	return splitTerms(text)
		.filter((term) => term !== '')
		.map((term) => {
			const parts = /^((?:[^=!\\]|!(?!=))*)(!=|==|=)([\s\S]*)$/.exec(term.trim());
			if (!parts?.[1]) throw badRequest(`invalid field selector: "${text}"; can't understand "${term}"`);
			const [, path, operator, value = ''] = parts;
			if (/(^|[^\\])(\\\\)*[=]/.test(value))
				throw badRequest(`invalid field selector: "${text}"; can't understand "${term}"`);
			return { path, value: value.replace(/\\([\\,=])/g, '$1'), negated: operator === '!=' };
		});
}

/** The fields by which objects of a kind are selected: how each is read, by path. The same map each time. */
export type FieldReaders = Readonly<Record<string, (object: KubeObject) => string>>;

const readers = new WeakMap<object, FieldReaders>();

export function fieldReaders<T extends KubeObject>(kind: Kind<T>): FieldReaders {
	const known = readers.get(kind);
	if (known) return known;
	const all: FieldReaders = {
		'metadata.name': (object) => object.metadata.name,
		'metadata.namespace': (object) => object.metadata.namespace ?? '',
		// What is read are objects of the kind.
		...(kind.selectableFields as FieldReaders),
	};
	readers.set(kind, all);
	return all;
}

/** The terms of a field selector on a kind. Throws ApiError BadRequest for a field that the kind does not offer. */
export function fieldTerms<T extends KubeObject>(kind: Kind<T>, text: string): FieldTerm[] {
	const terms = parseFieldSelector(text);
	const offered = fieldReaders(kind);
	for (const { path } of terms)
		if (!Object.hasOwn(offered, path)) throw badRequest(`field label not supported: ${path}`);
	return terms;
}

/** The predicate of terms, all of which must hold, on the fields of an object by path. */
export const matchFields =
	(terms: readonly FieldTerm[]) =>
	(fields: Readonly<Record<string, string>>): boolean =>
		terms.every(({ path, value, negated }) => (fields[path] === value) !== negated);

const none: Labels = Object.freeze({});

const equal = (key: string, value: string): Requirement => ({ key, operator: 'In', values: [value] });

function testOf({ key, operator, values }: Requirement): (labels: Labels) => boolean {
	const [first = ''] = values;
	switch (operator) {
		case 'In': {
			if (values.length === 1) return (labels) => Object.hasOwn(labels, key) && labels[key] === first;
			const among = new Set(values);
			return (labels) => Object.hasOwn(labels, key) && among.has(labels[key] ?? '');
		}
		case 'NotIn': {
			const among = new Set(values);
			return (labels) => !Object.hasOwn(labels, key) || !among.has(labels[key] ?? '');
		}
		case 'Exists':
			return (labels) => Object.hasOwn(labels, key);
		case 'DoesNotExist':
			return (labels) => !Object.hasOwn(labels, key);
		case 'Gt':
		case 'Lt': {
			const bound = integerOf(first);
			return (labels) => {
				const value = Object.hasOwn(labels, key) ? integerOf(labels[key] ?? '') : undefined;
				if (value === undefined || bound === undefined) return false;
				return operator === 'Gt' ? value > bound : value < bound;
			};
		}
	}
}

/** A whole number of 64 bits, as Gt and Lt compare them; undefined for what is none. Source: Kubernetes API reference, NodeSelectorRequirement. */
function integerOf(text: string): bigint | undefined {
	if (!/^[-+]?\d{1,63}$/.test(text)) return undefined;
	const value = BigInt(text.startsWith('+') ? text.slice(1) : text);
	return BigInt.asIntN(64, value) === value ? value : undefined;
}

const symbols = new Set(['!', '=', '==', '!=', '>', '<', '(', ')', ',']);
const isSymbol = (token: string) => symbols.has(token);

function tokenize(text: string): string[] {
	return text.match(/==|!=|[!=<>(),]|[^\s!=<>(),]+/g) ?? [];
}

function malformed(why: string) {
	return badRequest(`unable to parse requirement: ${why}`);
}

/** Splits at commas that are not escaped. */
function splitTerms(text: string): string[] {
	return text.match(/(?:\\[\s\S]|[^,\\])+/g) ?? [];
}
