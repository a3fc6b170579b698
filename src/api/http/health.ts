/** /healthz, /livez and /readyz, as a whole and check by check. Source: Kubernetes documentation, "Kubernetes API health endpoints". */
import { notServed } from '../../kinds/status.ts';
import type { Request, Response } from './exchange.ts';
import { send } from './respond.ts';

/** Named checks, each with what is wrong; undefined where nothing is. */
export type Checks = Readonly<Record<string, () => Promise<string | undefined>>>;

export interface HealthPath {
	readonly endpoint: 'healthz' | 'livez' | 'readyz';
	/** `/readyz/store`; absent where all are asked for. */
	readonly check?: string;
}

/** That the server answers is what its being alive means. */
const alive: Checks = { ping: async () => undefined };

/** What a path asks for; undefined where it is none of health. */
export function healthOf(path: string): HealthPath | undefined {
	const [, endpoint, check, more] = path.split('/');
	if ((endpoint !== 'healthz' && endpoint !== 'livez' && endpoint !== 'readyz') || more !== undefined) return undefined;
	return check ? { endpoint, check } : { endpoint };
}

/** Answers 200 where all is well, else 500. `checks` are those of readiness. Throws 404 for a check that there is not. */
export async function serveHealth(
	{ endpoint, check }: HealthPath,
	checks: Checks,
	request: Request,
	response: Response,
	query: URLSearchParams,
): Promise<void> {
	const all: Checks = endpoint === 'livez' ? alive : { ...alive, ...checks };
	const answer = (healthy: boolean, text: string) =>
		send(request, response, healthy ? 200 : 500, 'text/plain; charset=utf-8', Buffer.from(text));
	if (check !== undefined) {
		const look = Object.hasOwn(all, check) ? all[check] : undefined;
		if (!look) throw notServed();
		const wrong = await look();
		return answer(wrong === undefined, wrong === undefined ? 'ok' : `internal server error: ${wrong}\n`);
	}
	const excluded = new Set(query.getAll('exclude'));
	const lines: string[] = [];
	let healthy = true;
	for (const [name, look] of Object.entries(all)) {
		if (excluded.delete(name)) {
			lines.push(`[+]${name} excluded: ok`);
			continue;
		}
		const wrong = await look();
		lines.push(wrong === undefined ? `[+]${name} ok` : `[-]${name} failed: ${wrong}`);
		if (wrong !== undefined) healthy = false;
	}
	if (excluded.size > 0) {
		const names = [...excluded].map((name) => JSON.stringify(name)).join(', ');
		lines.push(`warn: some health checks cannot be excluded: no matches for ${names}`);
	}
	lines.push(`${endpoint} check ${healthy ? 'passed' : 'failed'}`);
	return answer(healthy, healthy && !query.has('verbose') ? 'ok' : `${lines.join('\n')}\n`);
}
