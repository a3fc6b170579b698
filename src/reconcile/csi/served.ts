/**
 * Drivers whose controller service the platform calls itself, by the agent of a node that has the driver: those whose CSIDriver says so.
 * Others have somebody of their own for that, and are left to him. See docs/decisions/0034-storage-drivers.md.
 */
import { CSIDriver, CSINode, Node, Secret } from '../../kinds/index.ts';
import { type Context, index } from '../runtime/controller.ts';
import { unlessGone } from '../runtime/refusal.ts';

/** An annotation of the CSIDriver: `node`. */
export const CONTROLLER = 'driftless.io/controller';

type DriverAnswer =
	| { readonly ok: object }
	| { readonly error: { readonly code: string; readonly message: string; readonly unsettled: boolean } };

/** Calls a driver at a node. Resolves also with what went wrong. */
export type DriverCalls = (
	node: Node,
	call: { readonly driver: string; readonly service: 'Identity' | 'Controller' | 'Node'; readonly method: string },
	request: object,
	signal: AbortSignal,
) => Promise<DriverAnswer>;

/** What a driver answered that is no answer, in Kubernetes' words. */
export class DriverError extends Error {
	override readonly name = 'DriverError';
	/** Of gRPC. */
	readonly code: string;
	/** Nobody knows whether it was done all the same. */
	readonly unsettled: boolean;
	constructor(code: string, message: string, unsettled: boolean) {
		super(message);
		this.code = code;
		this.unsettled = unsettled;
	}
}

export const nodesByDriver = index(CSINode, 'driver', ({ spec }) => (spec.drivers ?? []).map(({ name }) => name));

type Cache = Context['cache'];

export const isServed = (driver: string | undefined, cache: Cache): driver is string =>
	driver !== undefined && cache.informer(CSIDriver).get(driver)?.metadata.annotations?.[CONTROLLER] === 'node';

/** Whether something of a node or of its drivers has changed that a call may wait for. */
export const partOfNode = ({ status }: Node) =>
	status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True';

/** The node at which the driver is called: one that is ready, of those that fit; always the same one of several. */
export function nodeFor(driver: string, cache: Cache, fits: (node: Node) => boolean = () => true): Node | undefined {
	const found = [...cache.informer(CSINode).by('driver', driver)]
		.flatMap(({ metadata }) => cache.informer(Node).get(metadata.name) ?? [])
		.filter((node) => partOfNode(node) && fits(node));
	return found.sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))[0];
}

/** Calls the driver's controller service. Throws DriverError. */
export async function ask<T>(
	calls: DriverCalls,
	node: Node | undefined,
	{ driver, method, request }: { readonly driver: string; readonly method: string; readonly request: object },
	{ signal }: Pick<Context, 'signal'>,
): Promise<T> {
	// What was asked before is not known by that.
	if (!node) throw new DriverError('UNAVAILABLE', `no node that is ready has CSI driver ${driver}`, true);
	const answer = await calls(node, { driver, service: 'Controller', method }, request, signal);
	if ('ok' in answer) return answer.ok as T;
	throw new DriverError(answer.error.code, answer.error.message, answer.error.unsettled);
}

export interface SecretName {
	readonly namespace: string;
	readonly name: string;
}

/** What the Secret holds, as text; nothing where none is named. Throws where it is not there. */
export async function secretOf(
	name: SecretName | undefined,
	{ client }: Pick<Context, 'client'>,
): Promise<Readonly<Record<string, string>>> {
	if (!name) return {};
	const found = await unlessGone(client.get(Secret, name));
	if (!found)
		throw new Error(
			`error getting secret ${name.name} in namespace ${name.namespace}: secrets "${name.name}" not found`,
		);
	const entries = Object.entries(found.data ?? {});
	return Object.fromEntries(entries.map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]));
}
