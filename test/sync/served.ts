/** The API of a world over HTTPS, for kubectl and for the command. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ExecutionContext } from 'ava';
import { type Answers, openPki, serveApi, writeKubeconfig } from '../../src/api/index.ts';
import { driftless } from '../cli/driftless.ts';
import { silentLog } from '../testbed/silent-log.ts';
import type { GitOpsWorld } from './gitops.ts';

const run = promisify(execFile);
const path = '/apis/argoproj.io/v1alpha1/namespaces/default/applications/default';

export async function served(t: ExecutionContext, { api, dataDir }: GitOpsWorld, answers?: Answers) {
	const pki = await openPki({ dataDir });
	const server = await serveApi({ api, pki, address: '127.0.0.1', port: 0, log: silentLog, answers });
	t.teardown(() => server.close());
	const kubeconfig = join(dataDir, `kubeconfig-${server.port}`);
	const url = `https://127.0.0.1:${server.port}`;
	await writeKubeconfig({ path: kubeconfig, server: url, authority: pki.authority.cert, client: pki.admin });
	const command = driftless(kubeconfig);
	t.teardown(() => command[Symbol.dispose]());
	return {
		url,
		command,
		raw: async (of: string) => {
			const { stdout } = await run('kubectl', ['--kubeconfig', kubeconfig, 'get', '--raw', `${path}${of}`]);
			return JSON.parse(stdout);
		},
	};
}
