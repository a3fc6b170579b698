/** Which repository a forge's webhook speaks of, and whether it comes from one that knows the secret. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/** Bytes of a webhook's body at most: GitHub's own limit is 25 MiB, pushes are far smaller. */
export const MAX_WEBHOOK_BYTES = 4 * 1024 * 1024;

/** URLs that a webhook may name, and characters of one. Forges name one repository in a dozen ways. */
export const MAX_WEBHOOK_URLS = 64;
export const MAX_WEBHOOK_URL = 2_048;

export type Webhook =
	| { readonly type: 'push'; readonly urls: readonly string[] }
	/** A ping, or an event that moves no reference. */
	| { readonly type: 'other'; readonly event: string }
	| { readonly type: 'refused'; readonly status: 400 | 401; readonly why: string };

/**
 * Reads a webhook of GitHub, GitLab, Gitea, Forgejo, Gogs or Bitbucket, or plain JSON that names a repository
 * (`{"url": "https://..."}`). With a secret, its signature (or GitLab's token) must be right. Sources: the webhook
 * documentation of each.
 */
export function readWebhook(headers: IncomingHttpHeaders, body: Buffer, secret?: string): Webhook {
	if (secret && !isSigned(headers, body, secret)) {
		return { type: 'refused', status: 401, why: 'the signature is missing or not made with the configured secret' };
	}
	const event = ['x-github-event', 'x-gitlab-event', 'x-gitea-event', 'x-gogs-event', 'x-event-key']
		.map((name) => headers[name])
		.find((value) => typeof value === 'string');
	// Only a push, a tag, a merge or a branch made or deleted moves references.
	if (typeof event === 'string' && !/push|create|delete|tag|merge|pull|refs|update/i.test(event))
		return { type: 'other', event };
	const payload = parse(headers, body);
	if (payload === undefined) return { type: 'refused', status: 400, why: 'the body is no JSON' };
	const urls = [...new Set(urlsOf(payload))];
	if (urls.length === 0)
		return { type: 'refused', status: 400, why: 'the body names no repository (repository.clone_url or its like)' };
	if (urls.length > MAX_WEBHOOK_URLS || urls.some((url) => url.length > MAX_WEBHOOK_URL))
		return {
			type: 'refused',
			status: 400,
			why: `the body names more than one repository does: at most ${MAX_WEBHOOK_URLS} URLs of ${MAX_WEBHOOK_URL} characters are looked at`,
		};
	return { type: 'push', urls };
}

function parse(headers: IncomingHttpHeaders, body: Buffer): unknown {
	const text = body.toString('utf8');
	const form = headers['content-type']?.startsWith('application/x-www-form-urlencoded');
	try {
		return JSON.parse(form ? (new URLSearchParams(text).get('payload') ?? '') : text);
	} catch {
		return undefined;
	}
}

function isSigned(headers: IncomingHttpHeaders, body: Buffer, secret: string): boolean {
	const token = headers['x-gitlab-token'];
	if (typeof token === 'string') return same(token, secret);
	const signatures = [
		headers['x-hub-signature-256'],
		headers['x-hub-signature'],
		headers['x-gitea-signature'],
		headers['x-gogs-signature'],
	];
	const expected = createHmac('sha256', secret).update(body).digest('hex');
	return signatures.some((given) => typeof given === 'string' && same(given.replace(/^sha256=/, ''), expected));
}

function same(given: string, expected: string): boolean {
	const digest = (text: string) => createHmac('sha256', 'compare').update(text).digest();
	return timingSafeEqual(digest(given), digest(expected));
}

/** Where payloads name the repository; each forge uses some of these. */
const fields = [
	'clone_url',
	'git_http_url',
	'http_url',
	'html_url',
	'ssh_url',
	'git_ssh_url',
	'git_url',
	'url',
	'web_url',
	'homepage',
	'href',
];
const folders = ['repository', 'project', 'links', 'html', 'clone'];

function urlsOf(payload: unknown, depth = 0): string[] {
	if (typeof payload !== 'object' || payload === null || depth > 4) return [];
	const found: string[] = [];
	for (const [key, value] of Object.entries(payload)) {
		if (typeof value === 'string' && fields.includes(key)) found.push(value);
		else if (folders.includes(key) || Array.isArray(payload)) found.push(...urlsOf(value, depth + 1));
	}
	return found;
}
