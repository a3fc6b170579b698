/** JSON Patch, RFC 6902, on objects that may be frozen: what an operation touches is copied, the rest is shared. */
import { isFields, setMember } from '../../kinds/mergetype.ts';
import type { Dynamic } from '../../kinds/object.ts';
import { ApiError, badRequest } from '../../kinds/status.ts';
import { limits } from '../limits.ts';
import { equalJson } from './equal.ts';

type Operation =
	| { readonly op: 'add' | 'replace' | 'test'; readonly path: readonly string[]; readonly value: unknown }
	| { readonly op: 'remove'; readonly path: readonly string[] }
	| { readonly op: 'move' | 'copy'; readonly path: readonly string[]; readonly from: readonly string[] };

/** Throws ApiError 400 for what is no JSON Patch, 413 for one too long, and 422 for one that does not fit the object. */
export function applyJsonPatch(object: Dynamic, ops: unknown): Dynamic {
	if (!Array.isArray(ops)) throw badRequest('error decoding patch: a JSON Patch is an array of operations');
	if (ops.length > limits.patchOperations)
		throw new ApiError(
			413,
			'RequestEntityTooLarge',
			`The allowed maximum operations in a JSON patch is ${limits.patchOperations}, got ${ops.length}`,
		);
	const operations = ops.map(operationOf);
	const work: Work = { own: new WeakSet(), copied: 0, shifted: 0 };
	let root: unknown = object;
	for (const [i, operation] of operations.entries()) {
		try {
			root = run(root, operation, work);
		} catch (error) {
			if (!(error instanceof Unfit)) throw error;
			const detail = `operation ${i} (${operation.op} ${pointer(operation.path)}): ${error.message}`;
			throw new ApiError(422, 'Invalid', `the server rejected our request due to an error in our request: ${detail}`);
		}
	}
	if (!isFields(root)) throw badRequest('a patch may not replace the object with a value that is no object');
	if (isDeep(root, limits.depth))
		throw badRequest(`the patch nests the object too deeply: objects and lists may go ${limits.depth} levels deep`);
	return root as Dynamic;
}

/** What a patch has done so far. */
interface Work {
	/** Containers made by this patch, which later operations of it may change in place. */
	readonly own: WeakSet<object>;
	copied: number;
	shifted: number;
}

/** An operation does not fit the object, or asks for too much. */
class Unfit extends Error {}

/** Whether a value has more levels than that. A move may nest the tree once more with each operation. */
function isDeep(value: unknown, levels: number): boolean {
	if (typeof value !== 'object' || value === null) return false;
	return levels === 0 || Object.values(value).some((child) => isDeep(child, levels - 1));
}

function operationOf(operation: unknown, index: number): Operation {
	const wrong = (why: string) => badRequest(`error decoding patch: operation ${index}: ${why}`);
	if (!isFields(operation)) throw wrong('not an object');
	const { op, path, from } = operation;
	const tokens = (name: string, text: unknown) => {
		if (typeof text !== 'string') throw wrong(`${name} is missing`);
		if (text !== '' && !text.startsWith('/')) throw wrong(`${name} ${JSON.stringify(text)} does not start with "/"`);
		const parts = text.split('/').slice(1);
		if (parts.length > limits.depth) throw wrong(`${name} is deeper than the ${limits.depth} levels of an object`);
		return parts.map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
	};
	switch (op) {
		case 'add':
		case 'replace':
		case 'test':
			if (!('value' in operation) && op !== 'test') throw wrong('value is missing');
			return { op, path: tokens('path', path), value: operation.value };
		case 'remove':
			return { op, path: tokens('path', path) };
		case 'move':
		case 'copy':
			return { op, path: tokens('path', path), from: tokens('from', from) };
		default:
			throw wrong(`unknown op ${JSON.stringify(op)}`);
	}
}

function run(root: unknown, operation: Operation, work: Work): unknown {
	const { op, path } = operation;
	switch (op) {
		case 'test': {
			const found = lookUp(root, path, false);
			if (!equalJson(found ?? null, operation.value ?? null)) throw new Unfit('test failed: the value is another');
			return root;
		}
		case 'add':
			return put(root, path, operation.value, 'add', work);
		case 'replace':
			return put(root, path, operation.value, 'replace', work);
		case 'remove':
			return take(root, path, work);
		case 'copy':
			return put(root, path, duplicate(lookUp(root, operation.from, true), work), 'add', work);
		case 'move': {
			const { from } = operation;
			const value = lookUp(root, from, true);
			if (from.length < path.length && from.every((token, i) => token === path[i]))
				throw new Unfit('a value cannot move into itself');
			if (from.length === path.length && from.every((token, i) => token === path[i])) return root;
			return put(take(root, from, work), path, value, 'add', work);
		}
	}
}

/** A copy of a value, whose bytes are counted: so nothing stands in two places, of which one may be changed. */
function duplicate(value: unknown, work: Work, levels: number = limits.depth): unknown {
	const grow = (bytes: number) => {
		work.copied += bytes;
		if (work.copied > limits.patchCopies)
			throw new Unfit(
				`unable to complete the copy: all copies together exceed the limit of ${limits.patchCopies} bytes`,
			);
	};
	if (typeof value !== 'object' || value === null) {
		grow(typeof value === 'string' ? value.length + 2 : String(value).length);
		return value;
	}
	if (levels === 0) throw new Unfit(`the copied value is nested deeper than ${limits.depth} levels`);
	grow(2);
	if (Array.isArray(value)) {
		return value.map((item) => {
			grow(1);
			return duplicate(item, work, levels - 1);
		});
	}
	const out: Record<string, unknown> = {};
	for (const [key, member] of Object.entries(value)) {
		grow(key.length + 4);
		setMember(out, key, duplicate(member, work, levels - 1));
	}
	return out;
}

function lookUp(root: unknown, path: readonly string[], must: boolean): unknown {
	let value = root;
	for (const [i, token] of path.entries()) {
		const missing = () => new Unfit(`there is nothing at ${pointer(path.slice(0, i + 1))}`);
		if (Array.isArray(value)) {
			const index = indexOf(token, value.length - 1);
			if (index === undefined) throw missing();
			value = value[index];
		} else if (isFields(value) && Object.hasOwn(value, token)) value = value[token];
		else if (must || i < path.length - 1 || !isFields(value)) throw missing();
		else return undefined;
	}
	return value;
}

/** A container with `child` at `token` changed by `change`; copied unless this patch made it. */
function descend(
	container: unknown,
	path: readonly string[],
	depth: number,
	{ own }: Pick<Work, 'own'>,
	change: (container: unknown[] | Record<string, unknown>, token: string) => void,
): unknown {
	const token = path[depth] ?? '';
	const copy = writable(container, own);
	if (!copy) throw new Unfit(`there is no object or list at ${pointer(path.slice(0, depth)) || 'the root'}`);
	if (depth === path.length - 1) {
		change(copy, token);
		return copy;
	}
	const child = lookUp(copy, [token], true);
	const changed = descend(child, path, depth + 1, { own }, change);
	if (changed === child) return copy;
	if (Array.isArray(copy)) copy[Number(token)] = changed;
	else setMember(copy, token, changed);
	return copy;
}

function writable(container: unknown, own: WeakSet<object>): unknown[] | Record<string, unknown> | undefined {
	if (typeof container !== 'object' || container === null) return undefined;
	if (own.has(container)) return container as unknown[] | Record<string, unknown>;
	const copy = Array.isArray(container) ? [...container] : { ...container };
	own.add(copy);
	return copy;
}

function put(root: unknown, path: readonly string[], value: unknown, how: 'add' | 'replace', work: Work): unknown {
	if (path.length === 0) return value;
	return descend(root, path, 0, work, (container, token) => {
		if (Array.isArray(container)) {
			const end = how === 'add' && token === '-';
			const index = end ? container.length : indexOf(token, how === 'add' ? container.length : container.length - 1);
			if (index === undefined)
				throw new Unfit(`index ${JSON.stringify(token)} is outside of the list of ${container.length}`);
			if (how === 'add') shift(container.length - index, work);
			container.splice(index, how === 'add' ? 0 : 1, value);
		} else {
			if (how === 'replace' && !Object.hasOwn(container, token)) throw new Unfit('there is nothing to replace');
			setMember(container, token, value);
		}
	});
}

function take(root: unknown, path: readonly string[], work: Work): unknown {
	if (path.length === 0) throw new Unfit('the whole object cannot be removed');
	return descend(root, path, 0, work, (container, token) => {
		if (Array.isArray(container)) {
			const index = indexOf(token, container.length - 1);
			if (index === undefined)
				throw new Unfit(`index ${JSON.stringify(token)} is outside of the list of ${container.length}`);
			shift(container.length - index, work);
			container.splice(index, 1);
		} else {
			if (!Object.hasOwn(container, token)) throw new Unfit('there is nothing to remove');
			delete container[token];
		}
	});
}

/** Counts the items of a list that an operation moves to another place. */
function shift(items: number, work: Work): void {
	work.shifted += items;
	if (work.shifted > limits.patchShifts)
		throw new Unfit(`the operations shift more than ${limits.patchShifts} items of lists; replace the list instead`);
}

function indexOf(token: string, last: number): number | undefined {
	const index = /^(0|[1-9]\d*)$/.test(token) ? Number(token) : -1;
	return index >= 0 && index <= last ? index : undefined;
}

const pointer = (path: readonly string[]) =>
	path.map((token) => `/${token.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
