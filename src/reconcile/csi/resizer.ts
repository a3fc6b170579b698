/**
 * Makes volumes of drivers larger: at the driver's controller, where the platform serves it, and then on the node of a pod that has the
 * volume, for every driver. Source: Kubernetes CSI documentation, "external-resizer"; Kubernetes documentation, "Persistent Volumes",
 * Expanding Persistent Volumes Claims.
 */
import {
	CSIDriver,
	CSINode,
	compareQuantities,
	Node,
	PersistentVolume,
	PersistentVolumeClaim,
	Pod,
	quantity,
	timestamp,
} from '../../kinds/index.ts';
import { conditionOf, withCondition, withoutCondition } from '../runtime/conditions.ts';
import { type Context, type Controller, controller, watch } from '../runtime/controller.ts';
import { podsByClaim } from '../volumes/indexes.ts';
import { capacityOf, claimKeyOf, isFor, requestOf } from '../volumes/match.ts';
import { claimKeysOf } from '../volumes/pod-claims.ts';
import { capabilitiesOf } from './provision-plan.ts';
import {
	ask,
	type DriverCalls,
	DriverError,
	isServed,
	nodeFor,
	nodesByDriver,
	partOfNode,
	secretOf,
} from './served.ts';

export const RESIZING = 'Resizing';
export const PENDING = 'FileSystemResizePending';
const WAITS = 'Waiting for user to (re-)start a pod to finish file system resize of volume on node.';

export type Resize =
	| 'nothing'
	/** The driver's controller is to make it larger. */
	| 'enlarge'
	/** The node of a pod is to make use of it. */
	| 'expand on node'
	/** The claim has what the volume has. */
	| 'finish';

/** What is to be done next: pure. `onNode`: a pod that has the volume runs. */
export function planResize(
	claim: PersistentVolumeClaim,
	volume: PersistentVolume | undefined,
	{ served, onNode }: { readonly served: boolean; readonly onNode: boolean },
): Resize {
	const has = claim.status?.capacity?.storage;
	if (!volume?.spec.csi || claim.status?.phase !== 'Bound' || has === undefined || !isFor(volume, claim))
		return 'nothing';
	const wanted = requestOf(claim);
	if (compareQuantities(wanted, capacityOf(volume)) > 0 && compareQuantities(wanted, has) > 0)
		return served ? 'enlarge' : 'nothing';
	if (compareQuantities(capacityOf(volume), has) <= 0) return 'nothing';
	if (conditionOf(claim.status.conditions, PENDING)?.status === 'True') return onNode ? 'expand on node' : 'nothing';
	return served ? 'finish' : 'nothing';
}

export function csiResizer(calls: DriverCalls): Controller {
	return controller<PersistentVolumeClaim>({
		name: 'csi-resizer',
		for: PersistentVolumeClaim,
		watches: [
			watch(PersistentVolume, (volume) => (volume.spec.csi ? [claimKeyOf(volume) ?? []].flat() : []), {
				part: ({ spec }) => spec.capacity,
			}),
			watch(Pod, (pod) => claimKeysOf(pod), { part: ({ status }) => status?.phase }),
			watch(CSIDriver, () => []),
			watch(CSINode, () => []),
			watch(Node, () => [], { part: partOfNode }),
		],
		indexes: [podsByClaim, nodesByDriver],
		async reconcile(key, context) {
			const { cache, events } = context;
			const claim = cache.informer(PersistentVolumeClaim).get(key);
			const volume = cache.informer(PersistentVolume).get(claim?.spec.volumeName ?? '');
			const driver = volume?.spec.csi?.driver;
			if (!claim || !volume || !driver) return undefined;
			const running = [...cache.informer(Pod).by('claim', key)].find(({ status }) => status?.phase === 'Running');
			const node = running && cache.informer(Node).get(running.spec.nodeName ?? '');
			const served = isServed(driver, cache);
			const step = planResize(claim, volume, { served, onNode: node !== undefined });
			try {
				if (step === 'enlarge') await enlarge(claim, volume, driver, calls, context);
				if (step === 'expand on node' && node) {
					await expandOn(node, volume, driver, calls, context);
					events.event(
						claim,
						'Normal',
						'FileSystemResizeSuccessful',
						`MountVolume.NodeExpandVolume succeeded for volume "${volume.metadata.name}" ${node.metadata.name}`,
					);
				}
				if (step === 'finish' || step === 'expand on node') await finish(claim, capacityOf(volume), context);
			} catch (error) {
				if (error instanceof DriverError) {
					const what = step === 'enlarge' ? 'VolumeResizeFailed' : 'FileSystemResizeFailed';
					events.event(claim, 'Warning', what, `resize volume "${volume.metadata.name}" failed: ${error.message}`);
				}
				throw error;
			}
			return undefined;
		},
	});
}

async function enlarge(
	claim: PersistentVolumeClaim,
	volume: PersistentVolume,
	driver: string,
	calls: DriverCalls,
	context: Context,
): Promise<void> {
	const { cache, client, events } = context;
	const { csi } = volume.spec;
	if (!csi) return;
	const wanted = requestOf(claim);
	const begun = await withOnly(claim, RESIZING, undefined, context);
	events.event(claim, 'Normal', 'Resizing', `External resizer is resizing volume ${volume.metadata.name}`);
	const { name, namespace } = csi.controllerExpandSecretRef ?? {};
	const { accessModes = [], volumeMode, mountOptions = [] } = volume.spec;
	const request = {
		volumeId: csi.volumeHandle,
		capacityRange: { requiredBytes: String(Math.ceil(quantity(wanted))), limitBytes: '0' },
		volumeCapability: capabilitiesOf(accessModes.slice(0, 1), volumeMode, csi.fsType ?? '', mountOptions)[0],
		secrets: await secretOf(name && namespace ? { name, namespace } : undefined, context),
	};
	const call = { driver, method: 'ControllerExpandVolume', request };
	const answer = await ask<{ nodeExpansionRequired?: boolean }>(calls, nodeFor(driver, cache), call, context).catch(
		(error: unknown) => {
			// One without that call leaves it to the node.
			if (error instanceof DriverError && error.code === 'UNIMPLEMENTED') return { nodeExpansionRequired: true };
			throw error;
		},
	);
	// First: a claim whose volume has become larger without it is taken for one that has it.
	if (answer.nodeExpansionRequired) await withOnly(begun, PENDING, WAITS, context);
	const capacity = { ...volume.spec.capacity, storage: wanted };
	await client.update(PersistentVolume, { ...volume, spec: { ...volume.spec, capacity } });
}

/** The node does nothing where its driver needs nothing of it. */
async function expandOn(node: Node, volume: PersistentVolume, driver: string, calls: DriverCalls, { signal }: Context) {
	const request = {
		volumeId: volume.spec.csi?.volumeHandle ?? '',
		capacityRange: { requiredBytes: String(Math.ceil(quantity(capacityOf(volume)))), limitBytes: '0' },
	};
	const answer = await calls(node, { driver, service: 'Node', method: 'NodeExpandVolume' }, request, signal);
	if ('error' in answer) throw new DriverError(answer.error.code, answer.error.message, answer.error.unsettled);
}

async function finish(claim: PersistentVolumeClaim, storage: string, { client }: Context): Promise<void> {
	const { conditions, ...before } = claim.status ?? {};
	const left = withoutCondition(withoutCondition(conditions, RESIZING), PENDING);
	const status = {
		...before,
		...(left.length > 0 && { conditions: [...left] }),
		capacity: { ...before.capacity, storage },
	};
	await client.update(PersistentVolumeClaim, { ...claim, status }, { subresource: 'status' });
}

/** The claim says how far it is: one of both conditions, and not the other. */
async function withOnly(
	claim: PersistentVolumeClaim,
	type: typeof RESIZING | typeof PENDING,
	message: string | undefined,
	{ client, now }: Context,
): Promise<PersistentVolumeClaim> {
	const { conditions } = claim.status ?? {};
	if (conditionOf(conditions, type)?.status === 'True') return claim;
	const next = { type, status: 'True', lastTransitionTime: timestamp(now()), ...(message && { message }) };
	const wanted = withCondition(withoutCondition(conditions, type === RESIZING ? PENDING : RESIZING), next);
	const status = { ...claim.status, conditions: [...wanted] };
	return client.update(PersistentVolumeClaim, { ...claim, status }, { subresource: 'status' });
}
