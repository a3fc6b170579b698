/** Learns at once what others do to the kernel's links, addresses, routes and tables, instead of looking again and again. */
import { describe, faults, pause } from '../client/index.ts';
import type { Log } from '../log.ts';
import { TABLE } from './frame.ts';
import { linesOf, type Program } from './programs.ts';

/** Before a monitor that has ended is started again, in ms. */
const RESTART_MS = 1_000;

/** What has changed, so that it is looked at. */
export interface Changed {
	/** The bridge, an address or a route, or Docker's chain for exceptions. */
	host(): void;
	/** What is on the bridge. */
	ports(): void;
	/** Our table went. */
	rules(): void;
}

/** Runs until the signal aborts. A monitor that ends is started again, and everything is looked at then. */
export async function monitor(bridge: string, changed: Changed, log: Log, signal: AbortSignal): Promise<void> {
	const known = faults(log);
	const follow = async (program: Program, args: readonly string[], line: (text: string) => void) => {
		while (!signal.aborted) {
			try {
				for await (const text of linesOf(program, args, signal)) {
					known.healed(program, 'changes of the kernel are followed again', { program });
					line(text);
				}
			} catch (error) {
				if (signal.aborted) return;
				known.failed(program, error, `changes of the kernel are seen late: ${describe(error)}`, { program });
			}
			await pause(RESTART_MS, signal);
			changed.host();
			changed.ports();
			changed.rules();
		}
	};
	await Promise.all([
		follow('ip', ['-4', '-o', 'monitor', 'link', 'address', 'route'], (text) => heedLink(text, bridge, changed)),
		follow('nft', ['monitor', 'chains'], (text) => heedChain(text, changed)),
	]);
}

/** A line of `ip -o monitor`: what concerns the bridge, its ports, and addresses and routes that went. */
export function heedLink(line: string, bridge: string, changed: Changed): void {
	if (line.includes(` master ${bridge} `)) changed.ports();
	else if (/^(Deleted )?\d+: (\S+?):? /.exec(line)?.[2] === bridge) changed.host();
	else if (/^Deleted .*\d+\.\d+\.\d+\.\d+/.test(line)) changed.host();
}

/** A line of `nft monitor chains`: our table went, or Docker has made its chain. */
export function heedChain(line: string, changed: Changed): void {
	if (line.startsWith(`delete chain ip ${TABLE} dispatch`)) changed.rules();
	else if (/^add chain ip filter DOCKER-USER( |$)/.test(line)) changed.host();
}
