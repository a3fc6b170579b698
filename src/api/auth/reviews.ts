/** Questions that are answered and not stored: what somebody may do, who he is, and whose a token is. */
import { badRequest } from '../../kinds/status.ts';
import { asText, isObject } from '../json.ts';
import { timestamp } from '../verbs/context.ts';
import type { TokenAuthenticator } from './authenticator.ts';
import type { Attributes, Authorizer } from './authorizer.ts';
import { authenticatedGroup, type User } from './user.ts';

/** Who asks, and what the answer is found with. */
export interface Question {
	readonly body: Record<string, unknown>;
	readonly user: User;
	readonly tokens: TokenAuthenticator;
	readonly authorizer: Authorizer;
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
		answer: ({ body, user, authorizer }) => accessReview('SelfSubjectAccessReview', body, user, authorizer),
	},
	{
		...authorization,
		plural: 'subjectaccessreviews',
		kind: 'SubjectAccessReview',
		answer: ({ body, authorizer }) => accessReview('SubjectAccessReview', body, subjectOf(body), authorizer),
	},
	{
		...authorization,
		plural: 'localsubjectaccessreviews',
		kind: 'LocalSubjectAccessReview',
		namespaced: true,
		answer({ body, namespace = '', authorizer }) {
			const { resourceAttributes } = isObject(body.spec) ? body.spec : {};
			if (!isObject(resourceAttributes) || resourceAttributes.namespace !== namespace)
				throw badRequest(`spec.resourceAttributes.namespace must match namespace: ${namespace}`);
			return accessReview('LocalSubjectAccessReview', body, subjectOf(body), authorizer);
		},
	},
	{
		...authorization,
		plural: 'selfsubjectrulesreviews',
		kind: 'SelfSubjectRulesReview',
		async answer({ body, user, authorizer }) {
			const { namespace } = isObject(body.spec) ? body.spec : {};
			if (typeof namespace !== 'string' || !namespace) throw badRequest('no namespace on request');
			const { resources, paths, incomplete } = await authorizer.rules(user, namespace);
			return {
				apiVersion: 'authorization.k8s.io/v1',
				kind: 'SelfSubjectRulesReview',
				metadata: { creationTimestamp: null },
				spec: body.spec ?? {},
				status: {
					resourceRules: resources,
					nonResourceRules: paths,
					incomplete,
					// Clients show it as the reason.
					...(incomplete && { evaluationError: 'what depends on the object asked for is not listed' }),
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
			const user = await tokens.authenticate(spec.token);
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

async function accessReview(
	kind: string,
	body: Record<string, unknown>,
	user: User,
	authorizer: Authorizer,
): Promise<object> {
	const spec = isObject(body.spec) ? body.spec : {};
	const { allowed, denied, reason } = await authorizer.authorize(user, attributesOf(spec));
	return {
		apiVersion: 'authorization.k8s.io/v1',
		kind,
		metadata: { creationTimestamp: null },
		spec,
		status: { allowed, denied: denied || undefined, reason: reason || undefined },
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
