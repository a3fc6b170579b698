/**
 * Fencing: a write of a leader is made only while its term goes on. The term is a claim that is written with the Lease when
 * it changes hands; the leader's commits expect it. A leader that was stopped and goes on, or that believes its clock, writes
 * nothing any more from the commit on in which another took the Lease.
 */
import { type Lease, termOf } from '../../kinds/coordination/lease.ts';
import { ApiError } from '../../kinds/status.ts';
import type { Conflict, Expectation } from '../../store/store.ts';
import type { Caller, Fence } from '../api.ts';
import { claimKey } from './claims.ts';
import type { Context } from './context.ts';

export async function openFence({ store }: Pick<Context, 'store'>, lease: Lease): Promise<Fence> {
	const { name } = lease.metadata;
	const term = termOf(lease);
	const entry = term === undefined ? undefined : await store.get(claimKey(term));
	if (!entry) throw termIsOver(name);
	return { lease: name, key: entry.key, modified: entry.modified };
}

/** What the caller's commits expect. */
export const fenced = ({ fence }: Caller): readonly Expectation[] =>
	fence ? [{ key: fence.key, modified: fence.modified }] : [];

/** Throws 409 where a commit was lost because the caller's term is over. */
export function checkTerm({ fence }: Caller, lost: Conflict): void {
	if (fence && lost.key === fence.key) throw termIsOver(fence.lease);
}

const termIsOver = (lease: string) =>
	new ApiError(409, 'Conflict', `the lease ${lease} is held by another by now: nothing was written`);
