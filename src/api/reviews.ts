/** Questions that are answered and not stored: what somebody may do, who he is, and whose a token is. */
import { badRequest } from '../kinds/status.ts';
import { type Attributes, authenticatedGroup, authorize, mastersGroup, type User } from './authorize.ts';
import { asText, isObject } from './json.ts';
import type { Tokens } from './tokens.ts';
import { timestamp } from './verbs/context.ts';

/** Who asks, and what the answer is found with. */
export interface Question {
	readonly body: Record<string, unknown>;
	readonly user: User;
	readonly tokens: Tokens;
	/** Of the path, for reviews that lie in one. */
	readonly namespace?: string;
	/** Milliseconds since the epoch. */
	readonly now: number;
}

export interface Review {
	readonly group: string;
	readonly version: string;
	readonly plural: string;
	readonly kind: string;
	readonly namespaced: boolean;
	/** The answered review. Throws 400 for a body that asks nothing. */
	answer(question: Question): object | Promise<object>;
}

const authorization = { group: 'authorization.k8s.io', version: 'v1', namespaced: false } as const;
const authentication = { group: 'authentication.k8s.io', version: 'v1', namespaced: false } as const;

export const reviews: readonly Review[] = [
	{
		...authorization,
		plural: 'selfsubjectaccessreviews',
		kind: 'SelfSubjectAccessReview',
		answer: ({ body, user }) => accessReview('SelfSubjectAccessReview', body, user),
	},
	{
		...authorization,
		plural: 'subjectaccessreviews',
		kind: 'SubjectAccessReview',
		answer: ({ body }) => accessReview('SubjectAccessReview', body, subjectOf(body)),
	},
	{
		...authorization,
		plural: 'localsubjectaccessreviews',
		kind: 'LocalSubjectAccessReview',
		namespaced: true,
		answer({ body, namespace = '' }) {
			const { resourceAttributes } = isObject(body.spec) ? body.spec : {};
			if (!isObject(resourceAttributes) || resourceAttributes.namespace !== namespace)
				throw badRequest(`spec.resourceAttributes.namespace must match namespace: ${namespace}`);
			return accessReview('LocalSubjectAccessReview', body, subjectOf(body));
		},
	},
	{
		...authorization,
		plural: 'selfsubjectrulesreviews',
		kind: 'SelfSubjectRulesReview',
		answer({ body, user }) {
			const all = user.groups.includes(mastersGroup);
			return {
				apiVersion: 'authorization.k8s.io/v1',
				kind: 'SelfSubjectRulesReview',
				metadata: { creationTimestamp: null },
				spec: body.spec ?? {},
				status: {
					resourceRules: [
						...(all ? [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }] : []),
						{
							verbs: ['create'],
							apiGroups: ['authorization.k8s.io'],
							resources: ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'],
						},
						{ verbs: ['create'], apiGroups: ['authentication.k8s.io'], resources: ['selfsubjectreviews'] },
					],
					nonResourceRules: [
						...(all ? [{ verbs: ['*'], nonResourceURLs: ['*'] }] : []),
						{
							verbs: ['get'],
							nonResourceURLs: [
								'/api',
								'/api/*',
								'/apis',
								'/apis/*',
								'/healthz',
								'/livez',
								'/openapi',
								'/openapi/*',
								'/readyz',
								'/version',
							],
						},
					],
					incomplete: user.groups.includes(authenticatedGroup) && !all,
				},
			};
		},
	},
	{
		...authentication,
		plural: 'selfsubjectreviews',
		kind: 'SelfSubjectReview',
		answer: ({ user, now }) => ({
			apiVersion: 'authentication.k8s.io/v1',
			kind: 'SelfSubjectReview',
			metadata: { creationTimestamp: timestamp(now) },
			status: { userInfo: userInfo(user) },
		}),
	},
	{
		...authentication,
		plural: 'tokenreviews',
		kind: 'TokenReview',
		async answer({ body, tokens }) {
			const spec = isObject(body.spec) ? body.spec : {};
			if (typeof spec.token !== 'string' || !spec.token)
				throw badRequest('token is required for TokenReview in authentication');
			const user = await tokens.user(spec.token);
			const known = user && { ...user, groups: [...user.groups, authenticatedGroup] };
			return {
				apiVersion: 'authentication.k8s.io/v1',
				kind: 'TokenReview',
				metadata: { creationTimestamp: null },
				spec,
				status: known ? { authenticated: true, user: userInfo(known) } : { user: {} },
			};
		},
	},
];

const userInfo = ({ name, uid, groups, extra }: User) => ({ username: name, uid, groups, extra });

function subjectOf(body: Record<string, unknown>): User {
	const spec = isObject(body.spec) ? body.spec : {};
	if (typeof spec.user !== 'string' && !Array.isArray(spec.groups))
		throw badRequest('spec.user: Required value: at least one of user or group must be specified');
	return { name: asText(spec.user ?? ''), groups: Array.isArray(spec.groups) ? spec.groups.map(asText) : [] };
}

export const reviewOf = (group: string, version: string, plural: string): Review | undefined =>
	reviews.find((review) => review.group === group && review.version === version && review.plural === plural);

function accessReview(kind: string, body: Record<string, unknown>, user: User): object {
	const spec = isObject(body.spec) ? body.spec : {};
	const { allowed, reason } = authorize(user, attributesOf(spec));
	return {
		apiVersion: 'authorization.k8s.io/v1',
		kind,
		metadata: { creationTimestamp: null },
		spec,
		status: { allowed, reason: reason || undefined },
	};
}

function attributesOf({ resourceAttributes, nonResourceAttributes }: Record<string, unknown>): Attributes {
	const text = (value: unknown) => (typeof value === 'string' && value !== '' ? value : undefined);
	if (isObject(resourceAttributes)) {
		const { verb, group, version, resource, subresource, namespace, name } = resourceAttributes;
		return {
			type: 'resource',
			verb: text(verb) ?? '*',
			group: text(group) ?? '',
			version: text(version) ?? '*',
			resource: text(resource) ?? '*',
			subresource: text(subresource),
			namespace: text(namespace),
			name: text(name),
		};
	}
	if (isObject(nonResourceAttributes))
		return {
			type: 'path',
			verb: text(nonResourceAttributes.verb) ?? '*',
			path: text(nonResourceAttributes.path) ?? '*',
		};
	throw badRequest('spec: Invalid value: exactly one of nonResourceAttributes or resourceAttributes must be specified');
}
