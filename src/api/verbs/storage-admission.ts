/** The admission plugins of claims and volumes. Source: Kubernetes documentation, "Admission Control in Kubernetes". */
import type { PersistentVolumeClaim } from '../../kinds/core/persistent-volume-claim.ts';
import { classOf } from '../../kinds/core/volume-modes.ts';
import type { KubeObject } from '../../kinds/object.ts';
import { compareQuantities, isQuantity } from '../../kinds/quantity.ts';
import { forbidden } from '../../kinds/status.ts';
import { defaultClassOf, type StorageClass } from '../../kinds/storage/storage-class.ts';
import { isObject } from '../json.ts';
import type { AdmissionPlugin, AdmissionRequest } from './admission.ts';

const CLAIMS = 'persistentvolumeclaims';
const PROTECTION: Readonly<Record<string, string>> = {
	[CLAIMS]: 'kubernetes.io/pvc-protection',
	persistentvolumes: 'kubernetes.io/pv-protection',
};
const classes = { group: 'storage.k8s.io', version: 'v1', plural: 'storageclasses' };

const is = ({ operation, kind, subresource }: AdmissionRequest, verb: 'CREATE' | 'UPDATE', plural: string) =>
	operation === verb && subresource === undefined && kind.group === '' && kind.plural === plural;

/** What may be in use is kept until it is not: from its beginning. */
const storageObjectInUseProtection: AdmissionPlugin = {
	name: 'StorageObjectInUseProtection',
	handles: (request) => Object.keys(PROTECTION).some((plural) => is(request, 'CREATE', plural)),
	mutate({ kind, object }) {
		const finalizer = PROTECTION[kind.plural];
		if (!object || !finalizer || object.metadata.finalizers?.includes(finalizer)) return 'nothing';
		object.metadata.finalizers = [...(object.metadata.finalizers ?? []), finalizer];
		return 'filled';
	},
};

/** A claim that names no class gets the default one, where there is one. */
const defaultStorageClass: AdmissionPlugin = {
	name: 'DefaultStorageClass',
	handles: (request) => is(request, 'CREATE', CLAIMS),
	mutate({ object, list }) {
		if (!object || !isObject(object.spec) || classOf(object as Claim) !== undefined) return 'nothing';
		const found = defaultClassOf(list(classes) as readonly StorageClass[]);
		if (!found) return 'nothing';
		object.spec.storageClassName = found.metadata.name;
		return 'filled';
	},
};

type Claim = KubeObject & Partial<Pick<PersistentVolumeClaim, 'spec' | 'status'>>;

/** A claim may ask for more than it asked for where its class can give more. */
const claimResize: AdmissionPlugin = {
	name: 'PersistentVolumeClaimResize',
	handles: (request) => is(request, 'UPDATE', CLAIMS) && asksForMore(request),
	async validate(request) {
		const old = request.old as Claim;
		const refuse = (why: string) => forbidden(request.kind, request.name, why);
		if (old.status?.phase !== 'Bound') throw refuse('Only bound persistent volume claims can be expanded');
		const name = classOf(old);
		const found = name ? await request.lookUp(classes, { name }) : undefined;
		if ((found as StorageClass | undefined)?.allowVolumeExpansion !== true)
			throw refuse(
				'only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize',
			);
	},
};

function asksForMore({ object, old }: AdmissionRequest): boolean {
	const [now, before] = [object, old].map((claim) => (claim as Claim | undefined)?.spec?.resources?.requests?.storage);
	return isQuantity(now) && isQuantity(before) && compareQuantities(now, before) > 0;
}

export const storageAdmission: readonly AdmissionPlugin[] = [
	storageObjectInUseProtection,
	defaultStorageClass,
	claimResize,
];
