/** Starts one part of a process; what keeps it from starting is the user's to know, in one line. */
import { UserError } from '../user-error.ts';

/** `flags` are those that choose another address or port. Defects of the program stay what they are. */
export async function starting<T>(start: () => Promise<T>, flags?: string): Promise<T> {
	try {
		return await start();
	} catch (error) {
		if (!(error instanceof Error) || error instanceof TypeError || error instanceof ReferenceError) throw error;
		const { code, address, port } = error as NodeJS.ErrnoException & { address?: string; port?: number };
		if (code === 'EADDRINUSE')
			throw new UserError(`${address}:${port} is taken by another program; stop it, or choose another with ${flags}`);
		if (code === 'EADDRNOTAVAIL')
			throw new UserError(`this machine has no address ${address}; choose another with ${flags}`);
		if (code === 'EACCES' && port)
			throw new UserError(`port ${port} may not be taken by this user; choose another with ${flags}`);
		throw new UserError(error.message);
	}
}
