/** How a command finds the API and the applications it is about. */
import { join } from 'node:path';
import { type Client, type HttpClient, loadKubeconfig, overHttp } from '../client/index.ts';
import { Application } from '../kinds/index.ts';
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
		const { message, cause } = error as Error & { cause?: NodeJS.ErrnoException };
		const advice =
			cause?.code === 'EACCES'
				? 'run this as the user that runs driftless, or name a kubeconfig of yours with --kubeconfig'
				: 'is driftless running? Start it with: driftless up (or name its data directory with --data-dir)';
		throw new UserError(`${message}; ${advice}`);
	}
	return overHttp(config, 'driftless-cli');
}

/** The applications that a command's argument names, as `findApplication` reads it; all of them without one. */
export async function findApplications(client: Client, name: string | undefined): Promise<Application[]> {
	if (name !== undefined) return [await findApplication(client, name)];
	const { items } = await client.list(Application, {});
	return [...items].sort((a, b) =>
		`${a.metadata.namespace}/${a.metadata.name}`.localeCompare(`${b.metadata.namespace}/${b.metadata.name}`),
	);
}

/** `NAMESPACE/NAME`, or `NAME` in the namespace default, or else in the only namespace that has one of this name. */
export async function findApplication(client: Client, name: string): Promise<Application> {
	const { items } = await client.list(Application, {});
	const wanted = name.includes('/') ? name : `default/${name}`;
	const exact = items.find(({ metadata }) => `${metadata.namespace}/${metadata.name}` === wanted);
	if (exact) return exact;
	const called = items.map(({ metadata }) =>
		metadata.namespace === 'default' ? metadata.name : `${metadata.namespace}/${metadata.name}`,
	);
	const [only, ...others] = items.filter(({ metadata }) => metadata.name === name);
	if (only && others.length === 0) return only;
	if (only)
		throw new UserError(
			`there are several applications ${name}; name one of: ${called.filter((each) => each.endsWith(`/${name}`)).join(', ')}`,
		);
	throw new UserError(
		`there is no application ${JSON.stringify(name)}; there ${called.length === 1 ? 'is' : 'are'}: ${called.join(', ') || 'none'}`,
	);
}
