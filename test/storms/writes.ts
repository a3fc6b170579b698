/**
 * Two servers on a real etcd, and many clients: servers are killed and started again, connections are cut after a request went
 * through, watches lag, etcd dies and hangs, and forgets its history. What clients are told is judged as a history.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Api, openApi } from '../../src/api/index.ts';
import { loadRegistry } from '../../src/kinds/index.ts';
import { openEtcd } from '../../src/store/etcd.ts';
import type { EtcdCluster } from '../testbed/etcd.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { storm } from './clients.ts';
import { faultsOf } from './history.ts';
import { openLink } from './link.ts';
import { numbers } from './numbers.ts';

const log = { ...silentLog, error: silentLog.warn };

interface Server extends AsyncDisposable {
	readonly api: Api;
	/** One fault of its link, or its death; over after a while. */
	trouble(kind: number, ms: number): void;
	mend(): Promise<void>;
}

/** A server on etcd, with a link of its own. */
async function startServer(target: string, prefix: string): Promise<Server> {
	const link = await openLink(target);
	const begin = async () => {
		// Where etcd goes away in between, nothing is left of it.
		await using stack = new AsyncDisposableStack();
		const store = stack.use(await openEtcd({ endpoints: [link.endpoint], prefix }));
		const api = stack.use(await openApi({ store, registry: loadRegistry(), log }));
		const life = stack.move();
		return { api, end: () => life.disposeAsync() };
	};
	let running = await begin();
	/** What is under way to get well again. */
	let healing: Promise<void> | undefined;
	const restart = async () => {
		for (;;) {
			try {
				running = await begin();
				return;
			} catch {
				// etcd may be down as well.
				await sleep(100);
			}
		}
	};
	const kill = () => {
		link.refuse();
		link.cut();
		return running.end();
	};
	return {
		get api() {
			return running.api;
		},
		trouble(kind, ms) {
			if (healing) return;
			if (kind < 0.35) return link.deafen();
			if (kind < 0.55) return link.cut();
			const dead = kind > 0.85 ? kill() : undefined;
			if (!dead) link.lag();
			healing = sleep(ms)
				.then(() => link.mend())
				.then(() => dead)
				.then(() => (dead ? restart() : undefined))
				.finally(() => {
					healing = undefined;
				});
		},
		async mend() {
			await healing;
			link.mend();
		},
		async [Symbol.asyncDispose]() {
			await healing;
			await running.end();
			await link[Symbol.asyncDispose]();
		},
	};
}

/** One round: an empty part of etcd, two servers, many clients, many faults. Returns what is wrong. */
export async function writesRound(etcd: EtcdCluster, seed: number): Promise<string[]> {
	const random = numbers(seed);
	const [target = ''] = etcd.endpoints;
	const prefix = `/storm/${seed}/`;
	await using left = await startServer(target, prefix);
	await using right = await startServer(target, prefix);
	// A store that somebody compacts: who has fallen behind is told what came of it, and not each change.
	const forgets = random() < 0.3;
	await using raw = await openEtcd({ endpoints: [target], prefix });
	const forget = async () => raw.compact(await raw.revision());
	const servers = [left, right];
	let etcdHeals: Promise<void> | undefined;
	const history = await storm({
		servers: servers.map((server) => () => server.api),
		keys: 4,
		clients: 8,
		operations: 150,
		random,
		async before() {
			const fault = random();
			if (fault < 0.02) servers[random() < 0.5 ? 0 : 1]?.trouble(random(), random() * 1_500);
			else if (forgets && fault < 0.03) await forget().catch(() => undefined);
			else if (fault > 0.9985 && !etcdHeals) {
				const dies = random() < 0.5;
				if (dies) await etcd.kill(0);
				else etcd.signal(0, 'SIGSTOP');
				etcdHeals = sleep(random() * 2_500)
					.then(() => (dies ? etcd.start(0) : etcd.signal(0, 'SIGCONT')))
					.finally(() => {
						etcdHeals = undefined;
					});
			}
		},
		async mend() {
			await etcdHeals;
			for (const server of servers) await server.mend();
		},
	});
	const count = (outcome: string) =>
		history.operations.filter((each) => each.do === 'append' && each.outcome === outcome).length;
	const reads = history.operations.filter((each) => each.do === 'read').length;
	console.log(
		`writes ${seed}: ${count('made')} writes made, ${count('refused')} refused, ${count('unknown')} of unknown outcome, ${reads} reads, ${history.watched.length} watches`,
	);
	return faultsOf({ ...history, gapless: !forgets });
}
