/**
 * What quotas limit, and what is used of it. The API charges each write in its own commit: here a limit begins to hold, and what it
 * has counted is counted anew now and then, in case that something was missed. Source: Kubernetes documentation, "Resource Quotas".
 */
import type { Client } from '../../client/client.ts';
import {
	type Amounts,
	type Kind,
	keyOf,
	OBJECT_RESOURCES,
	ResourceQuota,
	splitKey,
	totals,
	usageIn,
} from '../../kinds/index.ts';
import { type Context, controller, watch } from '../runtime/controller.ts';
import { sameJson } from '../runtime/equality.ts';
import { isConflict, isNotFound } from '../runtime/refusal.ts';

/** Source: --resource-quota-sync-period of kube-controller-manager. */
const QUOTA_RECOUNT_MS = 5 * 60_000;
/** Who is beaten to it by writes that are charged comes again after so long. */
const BUSY_MS = 1_000;
const ATTEMPTS = 5;

export const resourceQuota = controller({
	name: 'resourcequota',
	watches: [
		// Not of what is used: that is charged with every write.
		watch(ResourceQuota, (quota) => [keyOf(quota)], { part: ({ spec, status }) => [spec?.hard, status?.hard] }),
	],
	async reconcile(key, context) {
		for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
			try {
				return await recount(splitKey(key), context);
			} catch (error) {
				if (isNotFound(error)) return undefined;
				if (!isConflict(error)) throw error;
			}
		}
		return { after: BUSY_MS };
	},
});

/** Exact, since whoever is charged meanwhile changes the quota. Throws 409 then. */
async function recount(name: { namespace?: string; name: string }, { client }: Context) {
	const quota = await client.get(ResourceQuota, name);
	if (quota.metadata.deletionTimestamp) return undefined;
	const hard = quota.spec?.hard ?? {};
	const used = await usedOf(quota, client);
	if (!sameJson(quota.status?.hard, hard) || !sameJson(quota.status?.used, used))
		await client.update(ResourceQuota, { ...quota, status: { hard, used } }, { subresource: 'status' });
	return { after: QUOTA_RECOUNT_MS };
}

async function usedOf(quota: ResourceQuota, client: Client): Promise<Amounts> {
	const names = Object.keys(quota.spec?.hard ?? {});
	const { namespace } = quota.metadata;
	const usages: Amounts[] = [];
	for (const kind of countedKinds(names, client)) {
		const { items } = await client.list(kind, { namespace });
		for (const object of items) usages.push(usageIn(quota, kind, object));
	}
	return totals(usages, names);
}

/** The kinds that resources of quotas are about; of what is no kind here, nothing is used. */
export function countedKinds(names: readonly string[], { registry }: Pick<Client, 'registry'>): readonly Kind[] {
	const found = new Set<Kind>();
	for (const name of names) {
		const [plural = '', group = ''] = resourceOf(name);
		for (const kind of registry.stored()) if (kind.plural === plural && kind.group === group) found.add(kind);
	}
	return [...found];
}

/** Plural and group: of `count/deployments.apps`, of `services.nodeports`, of `requests.cpu`. */
function resourceOf(name: string): readonly [plural: string, group: string] {
	if (name.startsWith('count/')) {
		const [plural = '', ...group] = name.slice('count/'.length).split('.');
		return [plural, group.join('.')];
	}
	if (name === 'requests.storage' || name.includes('.storageclass.storage.k8s.io/'))
		return ['persistentvolumeclaims', ''];
	if (name.startsWith('services.')) return ['services', ''];
	return OBJECT_RESOURCES.has(name) ? [name, ''] : ['pods', ''];
}
