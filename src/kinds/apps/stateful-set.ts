import type * as apps from 'kubernetes-types/apps/v1.js';
import type * as core from 'kubernetes-types/core/v1.js';
import { checkCountOrPercent, checkListName, checkNonNegative, checkNotMoreThanAll, checkOneOf } from '../checks.ts';
import { defaultClaimSpec, validateClaimSpec } from '../core/claim-validation.ts';
import { defaultPodSpec } from '../core/pod-defaults.ts';
import { validatePodTemplate } from '../core/pod-validation.ts';
import { age, column, kind } from '../declare.ts';
import { equalMembers } from '../equal.ts';
import type { Health, Kind } from '../kind.ts';
import { atomic, conditions } from '../merges.ts';
import { dnsLabel } from '../names.ts';
import type { Persisted } from '../object.ts';
import { type FieldError, fieldError } from '../status.ts';
import { containerColumns, isZero, templateWarnings, validateReplicaCounts, validateSelector } from './workload.ts';

export type StatefulSet = Persisted<apps.StatefulSet>;
type Spec = StatefulSet['spec'];

/** What may be changed in a set that exists. */
const MUTABLE: ReadonlySet<string> = new Set([
	'replicas',
	'ordinals',
	'template',
	'updateStrategy',
	'persistentVolumeClaimRetentionPolicy',
	'minReadySeconds',
]);

/** Source: Kubernetes API reference, "StatefulSet". */
export const StatefulSet: Kind<StatefulSet> = kind<StatefulSet>({
	group: 'apps',
	version: 'v1',
	kind: 'StatefulSet',
	plural: 'statefulsets',
	schema: 'io.k8s.api.apps.v1.StatefulSet',
	merges: {
		'io.k8s.api.apps.v1.StatefulSetSpec': { volumeClaimTemplates: atomic },
		'io.k8s.api.apps.v1.StatefulSetStatus': conditions,
	},
	// The names of pods are their host names as well.
	names: dnsLabel,
	shortNames: ['sts'],
	categories: ['all'],
	subresources: {
		status: true,
		scale: { spec: '.spec.replicas', status: '.status.replicas', selector: '.spec.selector' },
	},
	generation: true,
	columns: [
		column('Ready', 'string', 'How many of the desired pods are ready.', ({ spec, status }) => {
			return `${status?.readyReplicas ?? 0}/${spec.replicas ?? 0}`;
		}),
		age,
		...containerColumns<StatefulSet>(),
	],
	defaults({ spec }) {
		if (!spec) return;
		spec.podManagementPolicy ||= 'OrderedReady';
		spec.updateStrategy ??= {};
		if (!spec.updateStrategy.type) {
			spec.updateStrategy.type = 'RollingUpdate';
			spec.updateStrategy.rollingUpdate ??= {};
		}
		const { type, rollingUpdate } = spec.updateStrategy;
		if (type === 'RollingUpdate' && rollingUpdate) rollingUpdate.partition ??= 0;
		spec.persistentVolumeClaimRetentionPolicy ??= {};
		spec.persistentVolumeClaimRetentionPolicy.whenDeleted ||= 'Retain';
		spec.persistentVolumeClaimRetentionPolicy.whenScaled ||= 'Retain';
		spec.replicas ??= 1;
		spec.revisionHistoryLimit ??= 10;
		if (spec.template?.spec) defaultPodSpec(spec.template.spec);
		for (const claim of spec.volumeClaimTemplates ?? []) defaultClaim(claim);
	},
	prepare(set, old) {
		if (!old) Object.assign(set, { status: { replicas: 0, availableReplicas: 0 } });
	},
	validate(set, old) {
		const errors: FieldError[] = [];
		const { spec } = set;
		if (!spec) return [fieldError.required('spec')];
		validatePolicies(spec, errors);
		checkNonNegative(spec.replicas, 'spec.replicas', errors);
		checkNonNegative(spec.minReadySeconds, 'spec.minReadySeconds', errors);
		checkNonNegative(spec.revisionHistoryLimit, 'spec.revisionHistoryLimit', errors);
		checkNonNegative(spec.ordinals?.start, 'spec.ordinals.start', errors);
		validateSelector(set, undefined, 'statefulset', errors);
		validatePodTemplate(withClaims(spec), 'spec.template', 'StatefulSet', errors);
		// They never change; what was accepted stays so.
		if (!old) validateClaims(spec.volumeClaimTemplates, errors);
		if (old && !equalMembers(spec, old.spec, MUTABLE))
			errors.push(
				fieldError.forbidden(
					'spec',
					"updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
				),
			);
		const parts = ['readyReplicas', 'availableReplicas', 'currentReplicas', 'updatedReplicas'] as const;
		validateReplicaCounts(set.status, old?.status, parts, errors);
		return errors;
	},
	warnings: templateWarnings,
	health,
});

/** A claim as the API keeps it inside of a set. */
function defaultClaim(claim: core.PersistentVolumeClaim): void {
	if (claim.spec) defaultClaimSpec(claim.spec);
	const status = { ...claim.status, phase: claim.status?.phase || 'Pending' };
	Object.assign(claim, { apiVersion: 'v1', kind: 'PersistentVolumeClaim', status });
}

function validateClaims(claims: Spec['volumeClaimTemplates'], errors: FieldError[]): void {
	const names = new Set<string>();
	for (const [index, { metadata, spec }] of (claims ?? []).entries()) {
		const path = `spec.volumeClaimTemplates[${index}]`;
		checkListName(metadata?.name, `${path}.metadata.name`, names, errors);
		validateClaimSpec(spec, `${path}.spec`, errors);
	}
}

/** The template with the volumes that each pod gets for its claims: containers mount them by name. */
function withClaims({ template, volumeClaimTemplates = [] }: Spec): core.PodTemplateSpec {
	if (!template?.spec) return template;
	const { volumes = [] } = template.spec;
	const names = new Set(volumeClaimTemplates.map(({ metadata }) => metadata?.name ?? ''));
	for (const { name } of [{ name: '' }, ...volumes]) names.delete(name);
	const added = Array.from(names, (name) => ({ name, persistentVolumeClaim: { claimName: name } }));
	return { ...template, spec: { ...template.spec, volumes: [...volumes, ...added] } };
}

function validatePolicies(spec: Spec, errors: FieldError[]): void {
	const { podManagementPolicy: management, updateStrategy } = spec;
	if (management && management !== 'OrderedReady' && management !== 'Parallel')
		errors.push(fieldError.invalid('spec.podManagementPolicy', management, "must be 'OrderedReady' or 'Parallel'"));
	const { type, rollingUpdate } = updateStrategy ?? {};
	const path = 'spec.updateStrategy';
	if (type === 'OnDelete') {
		if (rollingUpdate)
			errors.push(
				fieldError.invalid(`${path}.rollingUpdate`, rollingUpdate, "only allowed for updateStrategy 'RollingUpdate'"),
			);
	} else if (type === 'RollingUpdate') {
		const { partition, maxUnavailable } = rollingUpdate ?? {};
		checkNonNegative(partition, `${path}.rollingUpdate.partition`, errors);
		const field = `${path}.rollingUpdate.maxUnavailable`;
		checkCountOrPercent(maxUnavailable, field, errors);
		if (maxUnavailable !== undefined && isZero(maxUnavailable))
			errors.push(fieldError.invalid(field, maxUnavailable, 'cannot be 0'));
		checkNotMoreThanAll(maxUnavailable, field, errors);
	} else errors.push(fieldError.invalid(path, updateStrategy ?? {}, "must be 'RollingUpdate' or 'OnDelete'"));
	const retention = spec.persistentVolumeClaimRetentionPolicy ?? {};
	for (const field of ['whenDeleted', 'whenScaled'] as const)
		checkOneOf(retention[field], `spec.persistentVolumeClaimRetentionPolicy.${field}`, ['Retain', 'Delete'], errors);
}

/** Source: Argo CD documentation, "Resource Health". */
function health({ metadata, spec, status }: StatefulSet): Health {
	if (!status?.observedGeneration || (metadata.generation ?? 0) > status.observedGeneration)
		return { status: 'Progressing', message: 'Waiting for statefulset spec update to be observed...' };
	const { readyReplicas = 0, updatedReplicas = 0, currentReplicas = 0, currentRevision, updateRevision } = status;
	const replicas = spec.replicas ?? 1;
	if (readyReplicas < replicas)
		return { status: 'Progressing', message: `Waiting for ${replicas - readyReplicas} pods to be ready...` };
	const { type, rollingUpdate } = spec.updateStrategy ?? {};
	if (type === 'RollingUpdate' && rollingUpdate) {
		const wanted = replicas - (rollingUpdate.partition ?? 0);
		return updatedReplicas < wanted
			? {
					status: 'Progressing',
					message: `Waiting for partitioned roll out to finish: ${updatedReplicas} out of ${wanted} new pods have been updated...`,
				}
			: {
					status: 'Healthy',
					message: `partitioned roll out complete: ${updatedReplicas} new pods have been updated...`,
				};
	}
	if (type === 'OnDelete') return { status: 'Healthy', message: `statefulset has ${readyReplicas} ready pods` };
	if (updateRevision !== currentRevision)
		return {
			status: 'Progressing',
			message: `waiting for statefulset rolling update to complete ${updatedReplicas} pods at revision ${updateRevision}...`,
		};
	return {
		status: 'Healthy',
		message: `statefulset rolling update complete ${currentReplicas} pods at revision ${currentRevision}...`,
	};
}
