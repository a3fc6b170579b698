/** The agent as a process of its own, over HTTP, so that a test can kill it. Arguments: kubeconfig, engine, data directory, CA file. */
import { readFile } from 'node:fs/promises';
import { connectEngine, runAgent } from '../../src/agents/index.ts';
import { createCache, loadKubeconfig, overHttp, recordEvents } from '../../src/client/index.ts';
import { silentLog } from '../testbed/silent-log.ts';

const [kubeconfig = '', dockerHost = '', dataDir = '', ca = ''] = process.argv.slice(2);
const abort = new AbortController();
const { signal } = abort;
process.on('SIGTERM', () => abort.abort());

await using engine = await connectEngine({ dockerHost, dataDir, log: silentLog, signal });
await using client = await overHttp(await loadKubeconfig(kubeconfig), 'kubelet');
await using cache = createCache(client, { signal, log: silentLog });
const events = recordEvents(client, { component: 'kubelet', host: 'node-1', now: Date.now, log: silentLog, signal });
await using agent = await runAgent({
	client,
	cache,
	events,
	engine,
	nodeName: 'node-1',
	dataDir,
	address: '127.0.0.1',
	port: 0,
	clientCa: await readFile(ca, 'utf8'),
	log: silentLog,
	signal,
});
process.stdout.write('registered\n');
await agent.ready;
process.stdout.write('ready\n');
await agent.ended;
