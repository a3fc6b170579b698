import { PluginError } from '../plugins/client.ts';

/** Why a container cannot have its devices, as its pod is told. */
export class DeviceError extends Error {
	override readonly name = 'DeviceError';
}

/** The error of a call as Go's gRPC words it, since people search for that: `rpc error: code = Unavailable desc = ...`. */
export function rpcError(error: unknown): string {
	if (!(error instanceof PluginError)) return error instanceof Error ? error.message : String(error);
	const code = error.code.toLowerCase().replace(/(?:^|_)(\w)/g, (_, letter: string) => letter.toUpperCase());
	return `rpc error: code = ${code} desc = ${error.message}`;
}
