/** What needs no rules: masters may do everything, and everybody who is known may look at discovery and ask about himself. */
import { type Authorizer, type Decision, noOpinion, noRules } from './authorizer.ts';
import { authenticatedGroup, mastersGroup } from './user.ts';

/** Members of system:masters are not asked anything. */
export const masters: Authorizer = {
	authorize: (user) =>
		user.groups.includes(mastersGroup) ? { allowed: true, reason: `member of ${mastersGroup}` } : noOpinion,
	rules: (user) =>
		user.groups.includes(mastersGroup)
			? {
					resources: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }],
					paths: [{ verbs: ['*'], nonResourceURLs: ['*'] }],
					incomplete: false,
				}
			: noRules,
};

const openPaths = ['/healthz', '/livez', '/readyz', '/version'];
const discoveryPaths = ['/api', '/apis', '/openapi'];
const below = (path: string, roots: readonly string[]) =>
	roots.some((root) => path === root || path.startsWith(`${root}/`));

const allow = (reason: string): Decision => ({ allowed: true, reason });

/** What the roles system:public-info-viewer, system:discovery and system:basic-user give in Kubernetes. */
export const everybody: Authorizer = {
	authorize(user, attributes) {
		const known = user.groups.includes(authenticatedGroup);
		if (attributes.type === 'path') {
			const { path, verb } = attributes;
			if (verb !== 'get' && verb !== 'head') return noOpinion;
			if (below(path, openPaths)) return allow('public');
			return known && below(path, discoveryPaths) ? allow('discovery') : noOpinion;
		}
		const { verb, group, resource } = attributes;
		const asks = group === 'authorization.k8s.io' || group === 'authentication.k8s.io';
		return known && verb === 'create' && asks && resource.startsWith('selfsubject')
			? allow('everybody may ask about himself')
			: noOpinion;
	},
	rules(user) {
		const known = user.groups.includes(authenticatedGroup);
		const trees = [...openPaths, ...(known ? discoveryPaths : [])];
		return {
			resources: known
				? [
						{
							verbs: ['create'],
							apiGroups: ['authorization.k8s.io'],
							resources: ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'],
						},
						{ verbs: ['create'], apiGroups: ['authentication.k8s.io'], resources: ['selfsubjectreviews'] },
					]
				: [],
			paths: [{ verbs: ['get'], nonResourceURLs: trees.flatMap((path) => [path, `${path}/*`]) }],
			incomplete: false,
		};
	},
};
