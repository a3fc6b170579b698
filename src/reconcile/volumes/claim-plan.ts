/** What is to be done next for a claim: a pure decision. Source: Kubernetes documentation, "Persistent Volumes", Binding and Provisioning. */
import { classOf, type PersistentVolume, type PersistentVolumeClaim, type StorageClass } from '../../kinds/index.ts';
import { BIND_COMPLETED, SELECTED_NODE } from './annotations.ts';
import { isFor, mismatch, reserved, smallest } from './match.ts';

/** What is said of a claim in an event. */
export interface Saying {
	readonly type: 'Normal' | 'Warning';
	readonly reason: string;
	readonly message: string;
}

export type ClaimStep =
	/** The claim gets the volume. */
	| { readonly do: 'bind'; readonly volume: PersistentVolume }
	/** A provisioner of ours makes a volume of the class. */
	| { readonly do: 'make'; readonly provisioner: string }
	/** Somebody else makes one. */
	| { readonly do: 'ask'; readonly provisioner: string; readonly say: Saying }
	/** The claim waits, and says why. */
	| { readonly do: 'wait'; readonly say?: Saying }
	/** It had a volume, and has it no more. */
	| { readonly do: 'lose'; readonly say: Saying }
	/** It names no class, and there is a default one now. */
	| { readonly do: 'name class'; readonly storageClass: string };

/** What a decision on a claim looks at. */
export interface ClaimView {
	volume(name: string): PersistentVolume | undefined;
	/** Volumes that name the claim. */
	volumesFor(claim: PersistentVolumeClaim): Iterable<PersistentVolume>;
	/** Volumes of a class that name no claim. */
	freeOf(storageClass: string): Iterable<PersistentVolume>;
	storageClass(name: string): StorageClass | undefined;
	/** The class of claims that name none. */
	defaultClass(): StorageClass | undefined;
	/** A pod that names the claim and has no node yet. */
	waitingPod(claim: PersistentVolumeClaim): string | undefined;
	/** Provisioners that are a part of driftless: nobody has to see whether they run. */
	readonly own: ReadonlySet<string>;
}

export function planClaim(claim: PersistentVolumeClaim, view: ClaimView): ClaimStep {
	if (claim.metadata.annotations?.[BIND_COMPLETED] !== undefined) return keepBound(claim, view);
	const { volumeName } = claim.spec;
	return volumeName ? bindNamed(claim, volumeName, view) : findVolume(claim, view);
}

const warning = (reason: string, message: string): Saying => ({ type: 'Warning', reason, message });
const normal = (reason: string, message: string): Saying => ({ type: 'Normal', reason, message });

/** Its binding was done once: what is not there any more is lost. */
function keepBound(claim: PersistentVolumeClaim, view: ClaimView): ClaimStep {
	const lose = (reason: string, message: string): ClaimStep => ({ do: 'lose', say: warning(reason, message) });
	const { volumeName } = claim.spec;
	if (!volumeName)
		return lose('ClaimLost', 'Bound claim has lost reference to PersistentVolume. Data on the volume is lost!');
	const volume = view.volume(volumeName);
	if (!volume) return lose('ClaimLost', 'Bound claim has lost its PersistentVolume. Data on the volume is lost!');
	if (!volume.spec.claimRef || isFor(volume, claim)) return { do: 'bind', volume };
	return lose('ClaimMisbound', 'Two claims are bound to the same volume, this one is bound incorrectly');
}

/** The claim names its volume. */
function bindNamed(claim: PersistentVolumeClaim, name: string, view: ClaimView): ClaimStep {
	const volume = view.volume(name);
	// One that is not there may come; one that is another's may be let go.
	if (!volume || volume.metadata.deletionTimestamp) return { do: 'wait' };
	if (isFor(volume, claim)) return { do: 'bind', volume };
	if (volume.spec.claimRef)
		return {
			do: 'wait',
			say: warning('FailedBinding', `volume "${name}" already bound to a different claim.`),
		};
	const why = mismatch(volume, claim);
	if (!why) return { do: 'bind', volume };
	return {
		do: 'wait',
		say: warning('VolumeMismatch', `Cannot bind to requested volume "${name}": ${why}`),
	};
}

function findVolume(claim: PersistentVolumeClaim, view: ClaimView): ClaimStep {
	const waiting = reserved(view.volumesFor(claim), claim);
	if (waiting) return { do: 'bind', volume: waiting };
	// What is going needs no volume any more.
	if (claim.metadata.deletionTimestamp) return { do: 'wait' };
	const name = classOf(claim);
	if (name === undefined) {
		const found = view.defaultClass();
		if (found) return { do: 'name class', storageClass: found.metadata.name };
	}
	const storageClass = name ? view.storageClass(name) : undefined;
	const late = storageClass?.volumeBindingMode === 'WaitForFirstConsumer';
	const selected = claim.metadata.annotations?.[SELECTED_NODE] !== undefined;
	// With a late binding the scheduler chooses among the volumes that there are.
	const free = late ? undefined : smallest(view.freeOf(name ?? ''), claim);
	if (free) return { do: 'bind', volume: free };
	if (late && !selected) {
		const pod = view.waitingPod(claim);
		return {
			do: 'wait',
			say: pod
				? normal('WaitForPodScheduled', `waiting for pod ${pod} to be scheduled`)
				: normal('WaitForFirstConsumer', 'waiting for first consumer to be created before binding'),
		};
	}
	if (!name)
		return {
			do: 'wait',
			say: normal('FailedBinding', 'no persistent volumes available for this claim and no storage class is set'),
		};
	if (!storageClass)
		return { do: 'wait', say: warning('ProvisioningFailed', `storageclass.storage.k8s.io "${name}" not found`) };
	const { provisioner } = storageClass;
	if (provisioner === NO_PROVISIONER)
		return {
			do: 'wait',
			say: warning('ProvisioningFailed', `no volume plugin matched name: ${provisioner}`),
		};
	// One of ours looks at the class itself.
	if (view.own.has(provisioner)) return { do: 'make', provisioner };
	const say = normal(
		'ExternalProvisioning',
		`Waiting for a volume to be created either by the external provisioner '${provisioner}' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered.`,
	);
	return { do: 'ask', provisioner, say };
}

/** Of classes whose volumes somebody makes by hand. Source: Kubernetes documentation, "Storage Classes", Local. */
export const NO_PROVISIONER = 'kubernetes.io/no-provisioner';
