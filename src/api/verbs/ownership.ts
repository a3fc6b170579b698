/** The field manager of a write. */
import { fieldError, invalid } from '../../kinds/status.ts';
import type { Caller, WriteOptions } from '../api.ts';

const longest = 128;

/** The named manager, or the caller's program: its user agent up to the first slash. Throws 422 for a name that may not be. */
export function managerOf(options: WriteOptions, caller: Caller, optionsKind: string): string {
	const { fieldManager } = options;
	if (!fieldManager) return (caller.userAgent.split('/', 1)[0] ?? '').slice(0, longest) || 'unknown';
	if (fieldManager.length > longest)
		throw invalid('meta.k8s.io', optionsKind, '', [fieldError.tooLong('fieldManager', longest)]);
	// Printable characters only, as Kubernetes demands.
	if (/[\p{Cc}\p{Cn}\p{Cs}]/u.test(fieldManager))
		throw invalid('meta.k8s.io', optionsKind, '', [
			fieldError.invalid('fieldManager', fieldManager, 'should only contain printable characters'),
		]);
	return fieldManager;
}
