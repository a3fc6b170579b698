/**
 * In which namespaces Applications and the credentials of repositories count. Sync has all rights, so whoever may write there has
 * them too. Source: Argo CD, "Applications in any namespace", whose control plane has one namespace.
 */
import { matchesGlob } from 'node:path';
import { homeNamespace } from './desired.ts';

/** The namespaces of the control plane: its own, and that which manifests for Argo CD name. */
export const controlNamespaces: readonly string[] = [homeNamespace, 'argocd'];

/** Why Applications of a namespace do not count; undefined where they do. */
export type Outside = (namespace: string | undefined) => string | undefined;

/** Those of the control plane count, and those whose names match one of `patterns` (`team-*`). */
export function outsideOf(patterns: readonly string[] = []): Outside {
	return (namespace = '') =>
		controlNamespaces.includes(namespace) || patterns.some((pattern) => matchesGlob(namespace, pattern))
			? undefined
			: `Applications in the namespace ${namespace} do not count: put it into ${controlNamespaces.join(' or ')}, or start driftless with --application-namespaces ${namespace}`;
}
