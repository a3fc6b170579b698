/**
 * What a container is given with its devices: a plugin's answer to Allocate, checked, and the sum of several.
 * Source: Kubernetes documentation, "Device Plugins", and the device plugin API v1beta1.
 */
import { isAbsolute } from 'node:path';
import type { DeviceNode, Mount } from '../engine/index.ts';
import { DeviceError } from './error.ts';

export interface Grant {
	readonly env: Readonly<Record<string, string>>;
	readonly mounts: readonly Mount[];
	readonly devices: readonly DeviceNode[];
	readonly annotations: Readonly<Record<string, string>>;
	/** Names of the Container Device Interface: `vendor.com/class=name`. */
	readonly cdi: readonly string[];
	/** Ids of GPUs that the engine's own runtime gives. */
	readonly gpus: readonly string[];
}

export const NOTHING: Grant = { env: {}, mounts: [], devices: [], annotations: {}, cdi: [], gpus: [] };

/** The longest answer that is kept: it lies in a file that is written whole. */
export const MAX_GRANT_BYTES = 256 * 1024;

/** What is read of ContainerAllocateResponse. */
interface Answer {
	readonly envs?: Readonly<Record<string, string>>;
	readonly mounts?: readonly {
		readonly containerPath: string;
		readonly hostPath: string;
		readonly readOnly: boolean;
	}[];
	readonly devices?: readonly {
		readonly containerPath: string;
		readonly hostPath: string;
		readonly permissions: string;
	}[];
	readonly annotations?: Readonly<Record<string, string>>;
	readonly cdiDevices?: readonly { readonly name: string }[];
}

/** What the answer to Allocate for one container means. Throws DeviceError where no container could be made of it. */
export function readAnswer(response: { readonly containerResponses?: readonly Answer[] }): Grant {
	const [answer] = response.containerResponses ?? [];
	if (!answer) throw new DeviceError('no containers return in allocation response');
	const { envs = {}, mounts = [], devices = [], annotations = {}, cdiDevices = [] } = answer;
	const bytes = Buffer.byteLength(JSON.stringify(answer));
	if (bytes > MAX_GRANT_BYTES)
		throw new DeviceError(`the allocation response has ${bytes} bytes, more than ${MAX_GRANT_BYTES}`);
	for (const name of Object.keys(envs))
		if (!/^[^=\0]+$/.test(name)) throw new DeviceError(`the allocation response names a variable ${quote(name)}`);
	for (const { containerPath, hostPath } of [...mounts, ...devices])
		for (const path of [containerPath, hostPath])
			if (!isAbsolute(path))
				throw new DeviceError(`the allocation response has a path that is not absolute: ${quote(path)}`);
	for (const { permissions } of devices)
		if (!/^[rwm]{0,3}$/.test(permissions))
			throw new DeviceError(`the allocation response has permissions other than r, w and m: ${quote(permissions)}`);
	return {
		env: { ...envs },
		mounts: mounts.map(({ containerPath, hostPath, readOnly }) => ({
			source: hostPath,
			target: containerPath,
			readOnly,
			propagation: 'rprivate',
		})),
		devices: devices.map(({ containerPath, hostPath, permissions }) => ({
			source: hostPath,
			target: containerPath,
			permissions,
		})),
		annotations: { ...annotations },
		cdi: cdiDevices.map(({ name }) => name),
		gpus: [],
	};
}

const quote = (text: string) => JSON.stringify(text.slice(0, 100));

/** All of them together. Of what two give alike, the first stays. */
export function together(grants: readonly Grant[]): Grant {
	const first = <T>(of: (grant: Grant) => readonly T[], key: (one: T) => string): T[] => {
		const byKey = new Map<string, T>();
		for (const one of grants.flatMap(of)) if (!byKey.has(key(one))) byKey.set(key(one), one);
		return [...byKey.values()];
	};
	const target = (one: { readonly target: string }) => one.target;
	const merged = (of: (grant: Grant) => Readonly<Record<string, string>>) =>
		Object.assign({}, ...grants.map(of).reverse()) as Record<string, string>;
	const annotations = merged((grant) => grant.annotations);
	return {
		env: merged((grant) => grant.env),
		mounts: first((grant) => grant.mounts, target),
		devices: first((grant) => grant.devices, target),
		annotations,
		cdi: first(
			(grant) => [...grant.cdi, ...cdiNames(grant.annotations)],
			(name) => name,
		),
		gpus: first(
			(grant) => grant.gpus,
			(id) => id,
		),
	};
}

/** The names in annotations `cdi.k8s.io/...`. Source: the Container Device Interface's specification, "Kubernetes". */
const cdiNames = (annotations: Readonly<Record<string, string>>): string[] =>
	Object.entries(annotations)
		.filter(([key]) => key.startsWith('cdi.k8s.io/'))
		.flatMap(([, names]) => names.split(',').map((name) => name.trim()))
		.filter(Boolean);
