/** Takes back what a proxy that runs no more has left on the machine. */
import { TABLE } from './frame.ts';
import { restoreHost } from './host.ts';
import { find, nft } from './programs.ts';
import { removeRoutes } from './routes.ts';

/**
 * Removes the service rules, the routes, the address of cluster DNS and the exceptions in Docker's chain. Needs root; what is
 * not there is no error. While `runProxy` runs it would come back at once.
 */
export async function removeRules({ serviceNetwork }: { readonly serviceNetwork: string }): Promise<void> {
	// "add" makes "delete" succeed where there is nothing to delete.
	if (find('nft')) await nft(`add table ip ${TABLE}\ndelete table ip ${TABLE}\n`);
	if (!find('ip')) return;
	await removeRoutes();
	await restoreHost(serviceNetwork);
}
