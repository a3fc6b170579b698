/** Carries out a plan through the API: one group after the other, the members of a group in parallel. */
import pLimit from 'p-limit';
import type { Client } from '../../client/index.ts';
import { ApiError, type Dynamic, type Kind, parseApiVersion } from '../../kinds/index.ts';
import { type Ahead, passes, validationOf } from '../want/dry-run.ts';
import { isImmutable } from '../want/immutable.ts';
import { optionFor, optionOf } from '../want/options.ts';
import { holdAlone, takeOver } from './ownership.ts';
import type { Group, Step } from './plan.ts';

type PropagationPolicy = 'Foreground' | 'Background' | 'Orphan';

const policies: Readonly<Record<string, PropagationPolicy>> = {
	foreground: 'Foreground',
	background: 'Background',
	orphan: 'Orphan',
};

/** Applies of one group that are under way at once. */
const PARALLEL_APPLIES = 16;

export interface Outcome {
	readonly id: string;
	readonly action: 'created' | 'configured' | 'unchanged' | 'pruned' | 'removed' | 'kept' | 'failed';
	readonly object: Pick<Dynamic, 'apiVersion' | 'kind' | 'metadata'>;
	/** `deployment.apps/web created`, or what went wrong. */
	readonly message: string;
}

export interface Execution {
	readonly client: Client;
	readonly manager: string;
	/** Everything is checked by the API, nothing is stored. */
	readonly dryRun: boolean;
	/** The sync options of the application. */
	readonly options?: readonly string[];
	/** How dependents of what is deleted go; foreground unless an option says otherwise. */
	readonly propagation?: PropagationPolicy;
	/** What a real sync would have done before: a dry run does not miss it. */
	readonly ahead?: Ahead;
	/** A refusal in words, with what to do about it. Default: the API's own words. */
	readonly explain?: (error: ApiError) => string;
	readonly live: (id: string) => Dynamic | undefined;
	readonly signal: AbortSignal;
	/** Called as each step ends. */
	readonly report: (outcome: Outcome) => void;
}

/** The outcomes in the order in which they ended. After a group with a failure nothing further is done: what follows may depend on it. */
export async function execute(groups: readonly Group[], execution: Execution): Promise<Outcome[]> {
	const outcomes: Outcome[] = [];
	const limit = pLimit(PARALLEL_APPLIES);
	for (const group of groups) {
		execution.signal.throwIfAborted();
		await Promise.all(
			group.map((step) =>
				limit(async () => {
					const outcome = await carryOut(step, execution);
					outcomes.push(outcome);
					execution.report(outcome);
				}),
			),
		);
		if (outcomes.some(({ action }) => action === 'failed')) break;
	}
	return outcomes;
}

async function carryOut(step: Step, execution: Execution): Promise<Outcome> {
	const { client, manager, dryRun } = execution;
	const object = step.do === 'apply' ? step.desired.object : step.live;
	const id = step.do === 'apply' ? step.desired.id : step.id;
	const done = (action: Outcome['action'], message = `${nameOf(object)} ${action}`): Outcome => ({
		id,
		action,
		object,
		message,
	});
	try {
		switch (step.do) {
			case 'keep':
				return done('kept', `${nameOf(object)}${whereOf(object)} is no longer in the source but kept: ${step.why}`);
			case 'apply': {
				const before = execution.live(id);
				const { name, namespace } = object.metadata;
				if (before && !dryRun) await takeOver(client, step.desired, before, manager, execution.options);
				const after = await client.patch(
					step.desired.kind,
					{ name, namespace },
					{ type: 'apply', body: object, force: true },
					{ fieldManager: manager, dryRun, fieldValidation: validationOf(object, execution.options) },
				);
				if (!dryRun) await holdAlone(client, step.desired.kind, after as Dynamic, manager);
				if (!before) return done('created');
				const same = before.metadata.resourceVersion === after.metadata.resourceVersion && !dryRun;
				return done(same ? 'unchanged' : 'configured');
			}
			case 'prune': {
				const kind = client.registry.of(object.apiVersion, object.kind);
				if (kind) await prune(kind, object, execution);
				return done('pruned');
			}
		}
	} catch (error) {
		if (!(error instanceof ApiError)) throw error;
		const live = step.do === 'apply' ? execution.live(id) : undefined;
		if (step.do === 'apply' && live && isImmutable(error) && optionFor(object, 'Force', execution.options) === 'true') {
			await prune(step.desired.kind, live, execution);
			return done('removed', `${nameOf(object)} deleted, to be made anew: ${error.message}`);
		}
		if (step.do !== 'apply') return done('failed', error.message);
		if (dryRun && execution.ahead && passes(error, step.desired, execution.ahead))
			return done(live ? 'configured' : 'created');
		return done('failed', execution.explain?.(error) ?? error.message);
	}
}

async function prune(kind: Kind, live: Dynamic, execution: Execution): Promise<void> {
	const { client, dryRun, options, propagation } = execution;
	const asked = policies[optionOf('PrunePropagationPolicy', options) ?? ''];
	try {
		// The uid: never delete what somebody made anew under the same name.
		await client.delete(kind, live.metadata, {
			dryRun,
			propagationPolicy: propagation ?? asked ?? 'Foreground',
			preconditions: { uid: live.metadata.uid },
		});
	} catch (error) {
		if (!(error instanceof ApiError && error.reason === 'NotFound')) throw error;
	}
}

/** ` in shop`, or nothing for an object of the cluster. */
export function whereOf({ metadata }: Pick<Dynamic, 'metadata'>): string {
	return metadata.namespace ? ` in ${metadata.namespace}` : '';
}

/** `deployment.apps/web`, as kubectl names an object. */
export function nameOf(object: Pick<Dynamic, 'apiVersion' | 'kind' | 'metadata'>): string {
	const { group } = parseApiVersion(object.apiVersion);
	return `${object.kind.toLowerCase()}${group ? `.${group}` : ''}/${object.metadata.name}`;
}
