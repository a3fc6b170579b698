/**
 * Devices of the Container Device Interface, for an engine that does not know it: the machine's specifications are read, and what
 * they add to a container is added by us. Hooks are not run. Source: the Container Device Interface's specification (CNCF).
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { extname, isAbsolute, join } from 'node:path';
import { parse } from 'yaml';
import { DeviceError } from './error.ts';
import { type Grant, NOTHING, together } from './grant.ts';

/** What stands in a later one goes before. Source: the specification, "Kubernetes". */
export const CDI_FOLDERS: readonly string[] = ['/etc/cdi', '/var/run/cdi'];
/** A larger file is none that describes devices. */
export const MAX_CDI_BYTES = 4 << 20;

/** What is read of a specification; all of it is somebody else's writing. */
interface Spec {
	readonly kind?: string;
	readonly devices?: readonly { readonly name?: string; readonly containerEdits?: Edits }[];
	readonly containerEdits?: Edits;
}

interface Edits {
	readonly env?: readonly string[];
	readonly deviceNodes?: readonly {
		readonly path: string;
		readonly hostPath?: string;
		readonly permissions?: string;
	}[];
	readonly mounts?: readonly {
		readonly hostPath: string;
		readonly containerPath: string;
		readonly options?: readonly string[];
	}[];
}

/** What the engine cannot be told of, in the specification's words. */
const BEYOND = ['hooks', 'intelRdt', 'additionalGIDs', 'additionalGids', 'netDevices'];

/** What a container with the named devices is given. Throws DeviceError where one is not described, or asks for what cannot be given. */
export async function resolveCdi(names: readonly string[], folders: readonly string[] = CDI_FOLDERS): Promise<Grant> {
	const specs = new Map<string, readonly Spec[]>();
	for (const folder of [...folders].reverse()) specs.set(folder, await readSpecs(folder));
	const edits = names.flatMap((name) => {
		for (const found of specs.values()) {
			const each = describing(name, found);
			if (each.length > 1) throw new DeviceError(`conflicting device ${name}: two specifications describe it`);
			if (each[0]) return each[0].map((one) => grantOf(name, one));
		}
		throw new DeviceError(`unresolvable CDI devices ${name}`);
	});
	return together(edits);
}

async function readSpecs(folder: string): Promise<readonly Spec[]> {
	const specs: Spec[] = [];
	for (const name of (await readdir(folder).catch(() => [])).sort()) {
		const file = join(folder, name);
		if (!['.json', '.yaml', '.yml'].includes(extname(name)) || (await stat(file)).size > MAX_CDI_BYTES) continue;
		try {
			// A broken one describes nothing: its devices are not to be had, and those of others are.
			const spec = parse(await readFile(file, 'utf8')) as Spec | null;
			if (typeof spec?.kind === 'string' && Array.isArray(spec.devices)) specs.push(spec);
		} catch {}
	}
	return specs;
}

/** For each specification that has the device: what it adds for the device, and for all of its devices. */
function describing(name: string, specs: readonly Spec[]): (readonly Edits[])[] {
	const at = name.indexOf('=');
	const [kind, own] = [name.slice(0, at), name.slice(at + 1)];
	return specs.flatMap((spec) => {
		const device = spec.kind === kind && spec.devices?.find((one) => one?.name === own);
		return device ? [[device.containerEdits ?? {}, spec.containerEdits ?? {}]] : [];
	});
}

function grantOf(name: string, edits: Edits): Grant {
	const beyond = BEYOND.find((field) => field in edits);
	if (beyond)
		throw new DeviceError(
			`the CDI device ${name} asks for ${beyond}, which only an engine that knows CDI itself can give (Docker 25 or newer)`,
		);
	const { env = [], deviceNodes = [], mounts = [] } = edits;
	const path = (text: unknown): string => {
		if (typeof text === 'string' && isAbsolute(text)) return text;
		throw new DeviceError(`the specification of the CDI device ${name} has no absolute path where it needs one`);
	};
	return {
		...NOTHING,
		env: Object.fromEntries(
			env.map((one) => {
				const at = String(one).indexOf('=');
				if (at < 1) throw new DeviceError(`the specification of the CDI device ${name} has a variable without a name`);
				return [one.slice(0, at), one.slice(at + 1)];
			}),
		),
		devices: deviceNodes.map((node) => ({
			source: path(node.hostPath || node.path),
			target: path(node.path),
			permissions: node.permissions ?? 'rw',
		})),
		mounts: mounts.map(({ hostPath, containerPath, options = [] }) => ({
			source: path(hostPath),
			target: path(containerPath),
			readOnly: options.includes('ro'),
			propagation: 'rprivate',
		})),
	};
}
