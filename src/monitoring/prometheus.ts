/** Asks a Prometheus. Source: Prometheus documentation, "HTTP API", "Instant queries". */
import { asText } from './text.ts';

/** How long an answer may take, in ms, and how many bytes it may have. */
export const QUERY_MS = 5_000;
export const MAX_ANSWER_BYTES = 4 * 2 ** 20;
/** Characters of a refusal that are told. */
const MAX_REASON = 300;

export interface PrometheusSample {
	readonly labels: Readonly<Record<string, string>>;
	readonly value: number;
}

export interface Prometheus {
	/** What a query is now; numbers that are none are left out. Throws an Error with why there is no answer. */
	query(text: string): Promise<readonly PrometheusSample[]>;
}

/** @param url - its root, with a name and a password where it wants them: `http://prometheus.example.com:9090/` */
export function connectPrometheus(url: string, signal: AbortSignal): Prometheus {
	const { username, password, ...place } = partsOf(url);
	const headers: Record<string, string> = { accept: 'application/json' };
	if (username) headers.authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
	return {
		async query(text) {
			const asked = new URL(`api/v1/query?${new URLSearchParams({ query: text })}`, place.root);
			const until = AbortSignal.any([signal, AbortSignal.timeout(QUERY_MS)]);
			let answer: { readonly status: number; readonly body: string };
			try {
				const response = await fetch(asked, { headers, signal: until, redirect: 'error' });
				answer = { status: response.status, body: await bounded(response) };
			} catch (error) {
				const why = until.aborted ? `no answer within ${QUERY_MS / 1_000} s` : causeOf(error);
				throw new Error(`the Prometheus at ${place.root} cannot be asked: ${why}`);
			}
			return samplesOf(answer, place.root);
		},
	};
}

function partsOf(url: string) {
	const parsed = new URL(url);
	const { username, password } = parsed;
	const path = parsed.pathname.endsWith('/') ? parsed.pathname : `${parsed.pathname}/`;
	return {
		username: decodeURIComponent(username),
		password: decodeURIComponent(password),
		root: new URL(path, parsed.origin).href,
	};
}

async function bounded(response: Response): Promise<string> {
	const decoder = new TextDecoder();
	let text = '';
	for await (const chunk of response.body ?? []) {
		text += decoder.decode(chunk, { stream: true });
		if (text.length > MAX_ANSWER_BYTES) throw new Error(`an answer of more than ${MAX_ANSWER_BYTES} bytes`);
	}
	return text + decoder.decode();
}

/** fetch says that it has failed, and its cause why. */
function causeOf(error: unknown): string {
	const { cause, message } = error as Error;
	return cause instanceof Error ? cause.message || ((cause as NodeJS.ErrnoException).code ?? message) : message;
}

interface Answer {
	readonly status?: string;
	readonly error?: string;
	readonly data?: { readonly resultType?: string; readonly result?: unknown };
}

function samplesOf(
	{ status, body }: { readonly status: number; readonly body: string },
	root: string,
): PrometheusSample[] {
	let said: Answer;
	try {
		said = JSON.parse(body) as Answer;
	} catch {
		throw new Error(`what answers at ${root} with ${status} is no Prometheus`);
	}
	if (said.status !== 'success')
		throw new Error(
			`the Prometheus at ${root} refuses the query: ${asText(said.error ?? status).slice(0, MAX_REASON)}`,
		);
	const { resultType, result } = said.data ?? {};
	if (resultType === 'scalar') return numbers([[{}, result]]);
	if (resultType !== 'vector' || !Array.isArray(result))
		throw new Error(`the query gives a ${asText(resultType)}, where numbers of now are asked for`);
	return numbers(result.map(({ metric, value }: { metric?: object; value?: unknown }) => [metric ?? {}, value]));
}

/** Values are pairs of a time and a text. */
const numbers = (all: readonly (readonly [labels: object, pair: unknown])[]): PrometheusSample[] =>
	all.flatMap(([labels, pair]) => {
		const value = Array.isArray(pair) ? Number(pair[1]) : Number.NaN;
		return Number.isFinite(value) ? [{ labels: labels as Record<string, string>, value }] : [];
	});
