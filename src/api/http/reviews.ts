/** Questions about oneself: SelfSubjectAccessReview, SelfSubjectRulesReview, SelfSubjectReview, and SubjectAccessReview. */
import { badRequest } from '../../kinds/status.ts';
import { type Attributes, authenticatedGroup, authorize, mastersGroup, type User } from '../authorize.ts';
import { isObject } from '../json.ts';
import { timestamp } from '../verbs/context.ts';

export interface Review {
	readonly group: string;
	readonly version: string;
	readonly plural: string;
	readonly kind: string;
	/** The answered review. Throws 400 for a body that asks nothing. */
	answer(body: Record<string, unknown>, user: User, now: number): object;
}

export const reviews: readonly Review[] = [
	{
		group: 'authorization.k8s.io',
		version: 'v1',
		plural: 'selfsubjectaccessreviews',
		kind: 'SelfSubjectAccessReview',
		answer: (body, user) => accessReview('SelfSubjectAccessReview', body, user),
	},
	{
		group: 'authorization.k8s.io',
		version: 'v1',
		plural: 'subjectaccessreviews',
		kind: 'SubjectAccessReview',
		answer(body) {
			const spec = isObject(body.spec) ? body.spec : {};
			if (typeof spec.user !== 'string' && !Array.isArray(spec.groups))
				throw badRequest('spec.user: Required value: at least one of user or group must be specified');
			const groups = Array.isArray(spec.groups) ? spec.groups.map(String) : [];
			return accessReview('SubjectAccessReview', body, { name: String(spec.user ?? ''), groups });
		},
	},
	{
		group: 'authorization.k8s.io',
		version: 'v1',
		plural: 'selfsubjectrulesreviews',
		kind: 'SelfSubjectRulesReview',
		answer(body, user) {
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
		group: 'authentication.k8s.io',
		version: 'v1',
		plural: 'selfsubjectreviews',
		kind: 'SelfSubjectReview',
		answer: (_body, { name, uid, groups, extra }, now) => ({
			apiVersion: 'authentication.k8s.io/v1',
			kind: 'SelfSubjectReview',
			metadata: { creationTimestamp: timestamp(now) },
			status: { userInfo: { username: name, uid, groups, extra } },
		}),
	},
];

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
