/** Which schema a request falls under, and so its priority level and its flow. Pure. */
import type { Attributes } from '../../auth/authorizer.ts';
import type { User } from '../../auth/user.ts';
import type { FlowSchema, ResourceRule, Subject } from './schemas.ts';

export interface Flow {
	readonly level: string;
	/** Requests of one flow wait for each other. */
	readonly flow: string;
}

/** The flow of a request by the first of the schemas that matches, in their order; undefined where none does. */
export function classify(schemas: readonly FlowSchema[], user: User, attributes: Attributes): Flow | undefined {
	for (const schema of schemas) {
		if (!schema.subjects.some((subject) => isOf(user, subject)) || !isAbout(schema, attributes)) continue;
		return { level: schema.priorityLevel, flow: `${schema.name}/${distinguished(schema, user, attributes)}` };
	}
	return undefined;
}

function isOf(user: User, subject: Subject): boolean {
	if ('user' in subject) return user.name === subject.user;
	if ('group' in subject) return user.groups.includes(subject.group);
	return user.groups.includes(`system:serviceaccounts:${subject.serviceAccounts}`);
}

function isAbout({ resources, paths }: FlowSchema, attributes: Attributes): boolean {
	if (!resources && !paths) return true;
	if (attributes.type === 'path')
		return paths?.some((path) => attributes.path === path || attributes.path.startsWith(`${path}/`)) ?? false;
	const { verb, group, resource, subresource } = attributes;
	const named = subresource === undefined ? resource : `${resource}/${subresource}`;
	const has = (values: ResourceRule['verbs'], value: string) => values.includes('*') || values.includes(value);
	return (
		resources?.some((rule) => has(rule.verbs, verb) && has(rule.apiGroups, group) && has(rule.resources, named)) ??
		false
	);
}

function distinguished({ distinguisher }: FlowSchema, user: User, attributes: Attributes): string {
	if (distinguisher === 'ByUser') return user.name;
	if (distinguisher === 'ByNamespace' && attributes.type === 'resource') return attributes.namespace ?? '';
	return '';
}
