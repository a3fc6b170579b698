/**
 * Makes the volumes of drivers that the platform serves, for claims that wait for one. The name of a volume follows from its claim, so a
 * call that is repeated finds what was made; the claim stays until it is known what became of the call, so that nothing is made that
 * nobody knows. Source: Kubernetes CSI documentation, "external-provisioner".
 */
import {
	CSIDriver,
	CSINode,
	classOf,
	keyOf,
	Node,
	PersistentVolume,
	PersistentVolumeClaim,
	StorageClass,
} from '../../kinds/index.ts';
import { type Context, type Controller, controller, watch } from '../runtime/controller.ts';
import { isAlreadyThere, unlessGone } from '../runtime/refusal.ts';
import { PROVISIONER, SELECTED_NODE } from '../volumes/annotations.ts';
import { waitingClaims } from '../volumes/indexes.ts';
import { volumeNameOf } from '../volumes/local-plan.ts';
import { allows } from '../volumes/topology.ts';
import {
	type Created,
	createRequest,
	type Segments,
	secretFor,
	Unservable,
	volumeOf,
	type Wish,
} from './provision-plan.ts';
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

/** Keeps a claim while a driver may be making its volume. */
export const MAKING = 'driftless.io/volume-being-made';
/** Topologies that a driver is told of. */
const MAX_TOPOLOGIES = 256;

type Cache = Context['cache'];

export function csiProvisioner(calls: DriverCalls): Controller {
	return controller<PersistentVolumeClaim>({
		name: 'csi-provisioner',
		for: PersistentVolumeClaim,
		watches: [
			watch(StorageClass, ({ metadata }, cache) => waiting(cache, metadata.name)),
			watch(CSIDriver, ({ metadata }, cache) => ofDriver(cache, metadata.name)),
			watch(CSINode, function* ({ spec }, cache) {
				for (const { name } of spec.drivers ?? []) yield* ofDriver(cache, name);
			}),
			watch(
				Node,
				function* ({ metadata }, cache) {
					const drivers = cache.informer(CSINode).get(metadata.name)?.spec.drivers ?? [];
					for (const { name } of drivers) yield* ofDriver(cache, name);
				},
				{ part: partOfNode },
			),
			watch(PersistentVolume, () => []),
		],
		indexes: [waitingClaims, nodesByDriver],
		async reconcile(key, context) {
			const claim = context.cache.informer(PersistentVolumeClaim).get(key);
			if (!claim) return undefined;
			const begun = claim.metadata.finalizers?.includes(MAKING) === true;
			if (claim.spec.volumeName) {
				if (begun) await setMaking(claim, false, context);
				return undefined;
			}
			const driver = claim.metadata.annotations?.[PROVISIONER];
			const storageClass = context.cache.informer(StorageClass).get(classOf(claim) ?? '');
			if (!isServed(driver, context.cache) || storageClass?.provisioner !== driver) return undefined;
			if (claim.metadata.deletionTimestamp) {
				if (begun) await abandon(claim, driver, storageClass, calls, context);
				return undefined;
			}
			const late = storageClass.volumeBindingMode === 'WaitForFirstConsumer';
			if (!late || claim.metadata.annotations?.[SELECTED_NODE] !== undefined)
				await provision(claim, driver, storageClass, calls, context);
			return undefined;
		},
	});
}

function* waiting(cache: Cache, storageClass: string) {
	for (const claim of cache.informer(PersistentVolumeClaim).by('waiting of class', storageClass)) yield keyOf(claim);
}
function* ofDriver(cache: Cache, driver: string) {
	for (const { metadata, provisioner } of cache.informer(StorageClass).list())
		if (provisioner === driver) yield* waiting(cache, metadata.name);
}

async function provision(
	claim: PersistentVolumeClaim,
	driver: string,
	storageClass: StorageClass,
	calls: DriverCalls,
	context: Context,
): Promise<void> {
	const { client, events } = context;
	const name = volumeNameOf(claim);
	if (context.cache.informer(PersistentVolume).get(name)) return;
	const say = (why: string) =>
		events.event(
			claim,
			'Warning',
			'ProvisioningFailed',
			`failed to provision volume with StorageClass "${storageClass.metadata.name}": ${why}`,
		);
	try {
		const wish = await wishOf(claim, driver, storageClass, context);
		const request = createRequest(wish);
		events.event(
			claim,
			'Normal',
			'Provisioning',
			`External provisioner is provisioning volume for claim "${claim.metadata.namespace}/${claim.metadata.name}"`,
		);
		const held = await setMaking(claim, true, context);
		const created = await create(held, driver, { wish, request }, calls, context);
		let volume: PersistentVolume;
		try {
			volume = volumeOf(driver, wish, created);
		} catch (error) {
			await remove(driver, created.volume?.volumeId ?? '', wish, calls, context);
			throw error;
		}
		try {
			await client.create(PersistentVolume, volume);
			events.event(claim, 'Normal', 'ProvisioningSucceeded', `Successfully provisioned volume ${name}`);
		} catch (error) {
			if (!isAlreadyThere(error)) throw error;
		}
		await setMaking(held, false, context);
	} catch (error) {
		if (error instanceof DriverError || error instanceof Unservable) say(error.message);
		if (error instanceof DriverError && error.code === 'RESOURCE_EXHAUSTED' && (await chooseAgain(claim, context)))
			return;
		// What stays so is looked at again when something of it changes.
		if (!(error instanceof Unservable)) throw error;
	}
}

/** It is not wanted any more: what may have been made of it is made known, and removed. */
async function abandon(
	claim: PersistentVolumeClaim,
	driver: string,
	storageClass: StorageClass,
	calls: DriverCalls,
	context: Context,
): Promise<void> {
	// Where the volume is there, it is removed as that of a claim that is gone.
	if (!(await unlessGone(context.client.get(PersistentVolume, { name: volumeNameOf(claim) })))) {
		const wish = await wishOf(claim, driver, storageClass, context);
		try {
			const created = await create(claim, driver, { wish, request: createRequest(wish) }, calls, context);
			await remove(driver, created.volume?.volumeId ?? '', wish, calls, context);
		} catch (error) {
			// It was refused for good: nothing was made.
			if (!(error instanceof DriverError) || error.unsettled) throw error;
		}
	}
	await setMaking(claim, false, context);
}

async function create(
	claim: PersistentVolumeClaim,
	driver: string,
	{ wish, request }: { readonly wish: Wish; readonly request: object },
	calls: DriverCalls,
	context: Context,
): Promise<Created> {
	const secrets = await secretOf(secretFor('provisioner', wish.storageClass, claim), context);
	const selected = claim.metadata.annotations?.[SELECTED_NODE];
	// A driver of directories makes them where it is asked.
	const node =
		(selected && nodeFor(driver, context.cache, ({ metadata }) => metadata.name === selected)) ||
		nodeFor(driver, context.cache);
	return ask<Created>(calls, node, { driver, method: 'CreateVolume', request: { ...request, secrets } }, context);
}

async function remove(
	driver: string,
	volumeId: string,
	wish: Wish,
	calls: DriverCalls,
	context: Context,
): Promise<void> {
	if (!volumeId) return;
	const secrets = await secretOf(secretFor('provisioner', wish.storageClass, wish.claim), context);
	const request = { volumeId, secrets };
	await ask(calls, nodeFor(driver, context.cache), { driver, method: 'DeleteVolume', request }, context);
}

/** Whether the scheduler is to choose another node. */
async function chooseAgain(claim: PersistentVolumeClaim, { client }: Context): Promise<boolean> {
	const now = await unlessGone(client.get(PersistentVolumeClaim, claim.metadata));
	const { [SELECTED_NODE]: selected, ...annotations } = now?.metadata.annotations ?? {};
	if (!now || selected === undefined) return false;
	await unlessGone(client.update(PersistentVolumeClaim, { ...now, metadata: { ...now.metadata, annotations } }));
	return true;
}

async function setMaking(
	claim: PersistentVolumeClaim,
	making: boolean,
	{ client }: Context,
): Promise<PersistentVolumeClaim> {
	const { finalizers = [] } = claim.metadata;
	if (finalizers.includes(MAKING) === making) return claim;
	const wanted = making ? [...finalizers, MAKING] : finalizers.filter((each) => each !== MAKING);
	const now = making ? claim : ((await unlessGone(client.get(PersistentVolumeClaim, claim.metadata))) ?? claim);
	const list = making ? wanted : (now.metadata.finalizers ?? []).filter((each) => each !== MAKING);
	const next = { ...now, metadata: { ...now.metadata, finalizers: list } };
	return (await unlessGone(client.update(PersistentVolumeClaim, next))) ?? claim;
}

async function wishOf(
	claim: PersistentVolumeClaim,
	driver: string,
	storageClass: StorageClass,
	context: Context,
): Promise<Wish> {
	const topology = topologyFor(driver, storageClass, claim.metadata.annotations?.[SELECTED_NODE], context.cache);
	const copyOf = sourceOf(claim, driver, context.cache);
	return { claim, storageClass, ...(topology && { topology }), ...(copyOf && { copyOf }) };
}

/** From where the volume is to be reached: from the node that was chosen, or from those that the class allows. */
function topologyFor(
	driver: string,
	storageClass: StorageClass,
	selected: string | undefined,
	cache: Cache,
): Wish['topology'] {
	const found = new Map<string, Segments>();
	let preferred: Segments | undefined;
	for (const { metadata, spec } of cache.informer(CSINode).by('driver', driver)) {
		const keys = spec.drivers?.find(({ name }) => name === driver)?.topologyKeys ?? [];
		const node = cache.informer(Node).get(metadata.name);
		if (keys.length === 0 || !node) continue;
		const segments = Object.fromEntries(keys.map((key) => [key, node.metadata.labels?.[key] ?? '']));
		if (metadata.name === selected) preferred = { segments };
		else if (selected !== undefined || !allows(storageClass, node)) continue;
		if (found.size < MAX_TOPOLOGIES) found.set(JSON.stringify(segments), { segments });
	}
	const requisite = [...found.values()];
	return requisite.length > 0 ? { requisite, preferred: preferred ? [preferred] : requisite } : undefined;
}

/** The handle of what is to be copied. Throws Unservable. */
function sourceOf(claim: PersistentVolumeClaim, driver: string, cache: Cache): string | undefined {
	const source = claim.spec.dataSourceRef;
	if (!source) return undefined;
	if (source.kind !== 'PersistentVolumeClaim' || source.apiGroup)
		throw new Unservable(`a volume cannot be made of a ${source.kind} here`);
	const { namespace = '' } = claim.metadata;
	const from = cache.informer(PersistentVolumeClaim).get(keyOf({ metadata: { namespace, name: source.name } }));
	const volume = cache.informer(PersistentVolume).get(from?.spec.volumeName ?? '');
	if (from?.status?.phase !== 'Bound' || !volume) throw new Error(`the source PVC ${source.name} is not bound`);
	if (volume.spec.csi?.driver !== driver)
		throw new Unservable(`the source volume of PVC ${source.name} is none of CSI driver ${driver}`);
	return volume.spec.csi.volumeHandle;
}
