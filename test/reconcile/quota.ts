/** A world as test/client/world.ts makes it, whose API refuses pods beyond a number, as an admission plugin for quotas does. */
import type { ExecutionContext } from 'ava';
import type { AdmissionPlugin } from '../../src/api/index.ts';
import { forbidden, Pod } from '../../src/kinds/index.ts';
import { type World, worldOf } from '../client/world.ts';
import { openTestApi } from '../testbed/api.ts';

export interface Quota {
	/** How many more pods may be made. */
	left: number;
	/** How often one was refused. */
	refused: number;
}

export async function worldWithQuota(t: ExecutionContext, left: number): Promise<World & { readonly quota: Quota }> {
	const quota: Quota = { left, refused: 0 };
	const limit: AdmissionPlugin = {
		name: 'Limit',
		handles: ({ operation, kind, subresource }) => kind.plural === Pod.plural && operation === 'CREATE' && !subresource,
		validate({ name }) {
			if (quota.left-- > 0) return;
			quota.refused++;
			throw forbidden(Pod, name, 'exceeded quota: pods');
		},
	};
	return { ...worldOf(t, await openTestApi({ admission: [limit] })), quota };
}
