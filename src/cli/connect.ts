/** How a command finds the API and the applications it is about. */
import { join } from 'node:path';
import { type Client, type HttpClient, loadKubeconfig, overHttp } from '../client/index.ts';
import { ApiError, Application } from '../kinds/index.ts';
import { dataDirectory } from './data-dir.ts';
import { UserError } from './user-error.ts';

/** Options that every command takes. */
export interface GlobalOptions {
	readonly dataDir?: string;
	readonly kubeconfig?: string;
}

/** A client with the rights of --kubeconfig, or of the administrator of the data directory. */
export async function connect(options: GlobalOptions): Promise<HttpClient> {
	const path = options.kubeconfig ?? join(dataDirectory(options.dataDir), 'kubeconfig');
	let config: Awaited<ReturnType<typeof loadKubeconfig>>;
	try {
		config = await loadKubeconfig(path);
	} catch (error) {
		throw new UserError(
			`${(error as Error).message}; is driftless running? Start it with: driftless up (or name its data directory with --data-dir)`,
		);
	}
	return overHttp(config, 'driftless-cli');
}

/** The applications that a command's argument names: all of them, `NAME` in the namespace default, or `NAMESPACE/NAME`. */
export async function findApplications(client: Client, name: string | undefined): Promise<Application[]> {
	if (name === undefined) {
		const { items } = await client.list(Application, {});
		return [...items].sort((a, b) =>
			`${a.metadata.namespace}/${a.metadata.name}`.localeCompare(`${b.metadata.namespace}/${b.metadata.name}`),
		);
	}
	return [await findApplication(client, name)];
}

export async function findApplication(client: Client, name: string): Promise<Application> {
	const [namespace, bare] = name.includes('/')
		? [name.slice(0, name.indexOf('/')), name.slice(name.indexOf('/') + 1)]
		: ['default', name];
	try {
		return await client.get(Application, { name: bare, namespace });
	} catch (error) {
		if (!(error instanceof ApiError && error.reason === 'NotFound')) throw error;
		const { items } = await client.list(Application, {});
		const known = items.map(({ metadata }) =>
			metadata.namespace === 'default' ? metadata.name : `${metadata.namespace}/${metadata.name}`,
		);
		throw new UserError(
			`there is no application ${name}; there ${known.length === 1 ? 'is' : 'are'}: ${known.join(', ') || 'none'}`,
		);
	}
}
