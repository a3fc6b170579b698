/**
 * Quotas: each write charges them in its own commit, so that what they say is used is what there is, whoever writes at once
 * and at however many servers. The controller only tells what is limited, and counts anew: see reconcile/policy.
 * Source: Kubernetes documentation, "Resource Quotas".
 */
import type { Pod } from '../../kinds/core/pod.ts';
import { ResourceQuota } from '../../kinds/core/resource-quota.ts';
import { deepEqual } from '../../kinds/equal.ts';
import type { Kind } from '../../kinds/kind.ts';
import { type KubeObject, keyOf } from '../../kinds/object.ts';
import { type Amounts, sum } from '../../kinds/pod-amounts.ts';
import { compareQuantities } from '../../kinds/quantity.ts';
import { quotaChange, unsaid } from '../../kinds/quota-usage.ts';
import { type ApiError, forbidden } from '../../kinds/status.ts';
import { resourceOf, storageKey } from '../storage.ts';
import type { AdmissionPlugin } from './admission.ts';
import { type Beside, objectBeside } from './beside.ts';
import type { Context } from './context.ts';

const namespaces = { group: '', plural: 'namespaces' };
/** Events are not charged: they tell of what happens when a quota is used up. */
const FREE: ReadonlySet<string> = new Set(['core/events', 'events.k8s.io/events']);

/** The quotas that a write charges, and what makes a new limit hold at every server. */
export function quotasOf(
	context: Context,
	kind: Kind,
	before: KubeObject | undefined,
	after: KubeObject | undefined,
): readonly Beside[] {
	const object = after ?? before;
	const namespace = object?.metadata.namespace;
	if (!object || namespace === undefined) return [];
	const beside: Beside[] = [];
	if (kind.plural === ResourceQuota.plural && kind.group === '' && before && after) {
		const [was, is] = [before, after] as [ResourceQuota, ResourceQuota];
		// Whoever creates something in a namespace expects it as he knows it: so from here on he knows of the limit.
		if (!deepEqual(was.status?.hard, is.status?.hard))
			beside.push(objectBeside(context, storageKey(namespaces, namespace), () => true));
	}
	const quotas = context.cache.of(ResourceQuota);
	if (quotas.count(namespace) === 0 || FREE.has(resourceOf(kind))) return beside;
	for (const stored of quotas.list(namespace)) {
		const quota = stored.object as ResourceQuota;
		// It does not charge itself: it is being written.
		if (quota.metadata.uid === object.metadata.uid) continue;
		if (Object.keys(quotaChange(quota, kind, before, after)).length === 0) continue;
		beside.push(
			objectBeside<ResourceQuota>(context, storageKey(ResourceQuota, keyOf(quota)), (newest) => {
				const change = quotaChange(newest, kind, before, after);
				if (Object.keys(change).length === 0) return false;
				const refused = excess(newest, change, kind, object.metadata.name);
				if (refused) throw refused;
				newest.status = { ...newest.status, used: { ...charged(newest, change) } };
				return true;
			}),
		);
	}
	return beside;
}

const charged = ({ status }: ResourceQuota, change: Amounts) => sum(status?.used ?? {}, change);

/** Why the change is too much; a change to less never is. */
function excess(quota: ResourceQuota, change: Amounts, kind: Kind, name: string): ApiError | undefined {
	const { hard = {}, used = {} } = quota.status ?? {};
	const growing = Object.keys(change).filter((resource) => compareQuantities(change[resource] ?? '0', '0') > 0);
	const unknown = growing.filter((resource) => used[resource] === undefined);
	if (unknown.length > 0)
		return forbidden(kind, name, `status unknown for quota: ${quota.metadata.name}, resources: ${unknown.join(',')}`);
	const after = charged(quota, change);
	const over = growing.filter((resource) => compareQuantities(after[resource] ?? '0', hard[resource] ?? '0') > 0);
	if (over.length === 0) return undefined;
	const listed = (amounts: Amounts) => over.map((resource) => `${resource}=${amounts[resource] ?? '0'}`).join(',');
	return forbidden(
		kind,
		name,
		`exceeded quota: ${quota.metadata.name}, requested: ${listed(change)}, used: ${listed(used)}, limited: ${listed(hard)}`,
	);
}

/** What a quota says of a write before it is committed: that pods must say what they need, and what a dry run would come to. */
export const resourceQuota: AdmissionPlugin = {
	name: 'ResourceQuota',
	handles: ({ operation, namespace, kind, subresource, dryRun }) =>
		namespace !== undefined &&
		subresource === undefined &&
		((operation === 'CREATE' && (dryRun || isPod(kind))) || (operation === 'UPDATE' && dryRun)) &&
		!FREE.has(resourceOf(kind)),
	validate({ operation, kind, name, namespace = '', object, old, dryRun, list }) {
		for (const each of list(ResourceQuota, namespace)) {
			const quota = each as ResourceQuota;
			if (quota.metadata.uid === object?.metadata.uid) continue;
			const missing = operation === 'CREATE' && isPod(kind) ? unsaid(quota, object as unknown as Pod) : undefined;
			if (missing) throw forbidden(kind, name, `failed quota: ${quota.metadata.name}: ${missing}`);
			const refused = dryRun && excess(quota, quotaChange(quota, kind, old, object), kind, name);
			if (refused) throw refused;
		}
	},
};

const isPod = ({ group, plural }: Kind) => group === '' && plural === 'pods';
