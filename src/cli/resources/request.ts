/** Requests beside the typed verbs of the client. */
import { text } from 'node:stream/consumers';
import type { HttpClient } from '../../client/index.ts';
import { serviceUnavailable } from '../../kinds/status.ts';

export interface RawRequest {
	readonly method?: string;
	/** Path and query. */
	readonly path: string;
	readonly accept?: string;
	/** Sent as JSON. */
	readonly body?: unknown;
}

/** The JSON of an answer. Throws ApiError. */
export async function request(client: HttpClient, { method, path, accept, body }: RawRequest): Promise<unknown> {
	const answer = await client.transport.ask({
		method,
		path,
		headers: {
			'user-agent': client.name,
			...(accept && { accept }),
			...(body !== undefined && { 'content-type': 'application/json' }),
		},
		body: body === undefined ? undefined : JSON.stringify(body),
	});
	try {
		return JSON.parse(await text(answer.body));
	} catch (error) {
		const why = error instanceof Error ? error.message : String(error);
		throw Object.assign(serviceUnavailable(`the answer to ${path} cannot be read: ${why}`), { cause: error });
	}
}

/** `?a=1&b=2` of what is set, or nothing. */
export function queryOf(parameters: Readonly<Record<string, string | number | boolean | undefined>>): string {
	const search = new URLSearchParams();
	for (const [name, value] of Object.entries(parameters)) if (value !== undefined) search.set(name, String(value));
	return search.size > 0 ? `?${search}` : '';
}
