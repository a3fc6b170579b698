/**
 * Authorization: a chain of authorizers, the first that has an opinion decides, and nobody's opinion is a no.
 * Source: Kubernetes documentation, "Authorization Overview".
 */
import type { FieldTerm } from '../../kinds/selectors.ts';
import { ApiError } from '../../kinds/status.ts';
import type { User } from './user.ts';

/** What is asked for: a verb on a resource, or on a path beside the resources. */
export type Attributes =
	| {
			readonly type: 'resource';
			readonly verb: string;
			readonly group: string;
			readonly version: string;
			readonly resource: string;
			readonly subresource?: string;
			readonly namespace?: string;
			/** Also that which a list or a watch selects by `metadata.name`. */
			readonly name?: string;
			/** What a list or a watch selects, where it does. */
			readonly fields?: readonly FieldTerm[];
	  }
	| { readonly type: 'path'; readonly verb: string; readonly path: string };

export type ResourceAttributes = Extract<Attributes, { type: 'resource' }>;

export interface Decision {
	readonly allowed: boolean;
	/** An explicit no, after which nobody else is asked. */
	readonly denied?: boolean;
	/** What is asked for is not there: that is the answer, and not that it is forbidden. */
	readonly missing?: true;
	/** Why, for SubjectAccessReviews. */
	readonly reason: string;
}

/** What a user may do, for SelfSubjectRulesReviews. */
export interface Rules {
	readonly resources: readonly {
		readonly verbs: readonly string[];
		readonly apiGroups: readonly string[];
		readonly resources: readonly string[];
		readonly resourceNames?: readonly string[];
	}[];
	readonly paths: readonly { readonly verbs: readonly string[]; readonly nonResourceURLs: readonly string[] }[];
	/** Whether more is allowed than could be listed. */
	readonly incomplete: boolean;
}

export interface Authorizer {
	/** Not allowed and not denied is no opinion. An answer that needs nobody else is given at once. */
	authorize(user: User, attributes: Attributes): Decision | Promise<Decision>;
	/** Of a namespace; what lies in none always. */
	rules(user: User, namespace: string): Rules | Promise<Rules>;
}

export const noOpinion: Decision = { allowed: false, reason: '' };
export const noRules: Rules = { resources: [], paths: [], incomplete: false };

/** Several authorizers as one. */
export function chain(authorizers: readonly Authorizer[]): Authorizer {
	const from = (start: number, reasons: readonly string[], user: User, attributes: Attributes) => {
		const said = [...reasons];
		for (let index = start; index < authorizers.length; index++) {
			const decision = authorizers[index]?.authorize(user, attributes) ?? noOpinion;
			if (decision instanceof Promise) return later(decision, index, said, user, attributes);
			if (decision.allowed || decision.denied) return decision;
			if (decision.reason) said.push(decision.reason);
		}
		return { allowed: false, reason: said.join(', ') };
	};
	const later = async (
		asked: Promise<Decision>,
		index: number,
		said: readonly string[],
		user: User,
		attributes: Attributes,
	): Promise<Decision> => {
		const decision = await asked;
		if (decision.allowed || decision.denied) return decision;
		return from(index + 1, decision.reason ? [...said, decision.reason] : said, user, attributes);
	};
	return {
		authorize: (user, attributes) => from(0, [], user, attributes),
		async rules(user, namespace) {
			const all = await Promise.all(authorizers.map((authorizer) => authorizer.rules(user, namespace)));
			return {
				resources: all.flatMap(({ resources }) => resources),
				paths: all.flatMap(({ paths }) => paths),
				incomplete: all.some(({ incomplete }) => incomplete),
			};
		},
	};
}

/** The answer to what is not allowed, in the words of Kubernetes. */
export function forbiddenBy(user: User, attributes: Attributes, reason = ''): ApiError {
	const who = `User ${JSON.stringify(user.name)}`;
	const because = reason ? `: ${reason}` : '';
	if (attributes.type === 'path') {
		const why = `forbidden: ${who} cannot ${attributes.verb} path ${JSON.stringify(attributes.path)}${because}`;
		return new ApiError(403, 'Forbidden', why, {});
	}
	const { verb, group, resource, subresource, namespace, name } = attributes;
	const qualified = group ? `${resource}.${group}` : resource;
	const what = subresource ? `${resource}/${subresource}` : resource;
	const where = namespace === undefined ? 'at the cluster scope' : `in the namespace ${JSON.stringify(namespace)}`;
	const subject = name ? `${qualified} ${JSON.stringify(name)}` : qualified;
	return new ApiError(
		403,
		'Forbidden',
		`${subject} is forbidden: ${who} cannot ${verb} resource ${JSON.stringify(what)} in API group ${JSON.stringify(group)} ${where}${because}`,
		{ name: name || undefined, group: group || undefined, kind: resource },
	);
}
