/**
 * Argo CD's Application, argoproj.io/v1alpha1. Source: Argo CD documentation, "Application Specification Reference", and
 * the schema of its custom resource definition.
 */
import type { HealthStatus } from '../kind.ts';

export interface ApplicationSpec {
	project: string;
	destination: ApplicationDestination;
	source?: ApplicationSource;
	sources?: ApplicationSource[];
	sourceHydrator?: SourceHydrator;
	syncPolicy?: SyncPolicy;
	ignoreDifferences?: ResourceIgnoreDifferences[];
	info?: Info[];
	/** How many past syncs status.history keeps; 10 when absent. */
	revisionHistoryLimit?: number;
}

export interface ApplicationDestination {
	server?: string;
	name?: string;
	namespace?: string;
}

export interface ApplicationSource {
	repoURL: string;
	path?: string;
	targetRevision?: string;
	chart?: string;
	ref?: string;
	name?: string;
	helm?: SourceHelm;
	kustomize?: SourceKustomize;
	directory?: SourceDirectory;
	plugin?: SourcePlugin;
}

export interface SourceHelm {
	valueFiles?: string[];
	parameters?: HelmParameter[];
	releaseName?: string;
	values?: string;
	fileParameters?: { name?: string; path?: string }[];
	version?: string;
	passCredentials?: boolean;
	ignoreMissingValueFiles?: boolean;
	skipCrds?: boolean;
	skipTests?: boolean;
	skipSchemaValidation?: boolean;
	valuesObject?: Record<string, unknown>;
	namespace?: string;
	kubeVersion?: string;
	apiVersions?: string[];
}

export interface HelmParameter {
	name?: string;
	value?: string;
	forceString?: boolean;
}

export interface SourceKustomize {
	namePrefix?: string;
	nameSuffix?: string;
	images?: string[];
	commonLabels?: Record<string, string>;
	commonAnnotations?: Record<string, string>;
	commonAnnotationsEnvsubst?: boolean;
	version?: string;
	forceCommonLabels?: boolean;
	forceCommonAnnotations?: boolean;
	namespace?: string;
	replicas?: { name: string; count: number | string }[];
	patches?: KustomizePatch[];
	components?: string[];
	ignoreMissingComponents?: boolean;
	labelWithoutSelector?: boolean;
	labelIncludeTemplates?: boolean;
	kubeVersion?: string;
	apiVersions?: string[];
}

export interface KustomizePatch {
	path?: string;
	patch?: string;
	target?: {
		group?: string;
		version?: string;
		kind?: string;
		name?: string;
		namespace?: string;
		labelSelector?: string;
		annotationSelector?: string;
	};
	options?: Record<string, boolean>;
}

export interface SourceDirectory {
	recurse?: boolean;
	jsonnet?: {
		extVars?: JsonnetVariable[];
		tlas?: JsonnetVariable[];
		libs?: string[];
	};
	exclude?: string;
	include?: string;
}

export interface JsonnetVariable {
	name: string;
	value: string;
	code?: boolean;
}

export interface SourcePlugin {
	name?: string;
	env?: { name: string; value: string }[];
	parameters?: { name?: string; string?: string; map?: Record<string, string>; array?: string[] }[];
}

export interface SourceHydrator {
	drySource: {
		repoURL: string;
		targetRevision: string;
		path: string;
		helm?: SourceHelm;
		kustomize?: SourceKustomize;
		directory?: SourceDirectory;
		plugin?: SourcePlugin;
	};
	syncSource: { targetBranch: string; path: string };
	hydrateTo?: { targetBranch: string };
}

export interface SyncPolicy {
	automated?: SyncPolicyAutomated;
	/** `CreateNamespace=true`, `PrunePropagationPolicy=foreground`, ... */
	syncOptions?: string[];
	retry?: RetryStrategy;
	managedNamespaceMetadata?: { labels?: Record<string, string>; annotations?: Record<string, string> };
}

export interface SyncPolicyAutomated {
	prune?: boolean;
	selfHeal?: boolean;
	allowEmpty?: boolean;
	/** False switches automation off although it is configured. */
	enabled?: boolean;
}

export interface RetryStrategy {
	/** Failed attempts before giving up; negative: never gives up. */
	limit?: number;
	refresh?: boolean;
	backoff?: {
		/** `5s`, `2m`. */
		duration?: string;
		factor?: number;
		maxDuration?: string;
	};
}

export interface ResourceIgnoreDifferences {
	group?: string;
	kind: string;
	name?: string;
	namespace?: string;
	jsonPointers?: string[];
	jqPathExpressions?: string[];
	managedFieldsManagers?: string[];
}

export interface Info {
	name: string;
	value: string;
}

export interface Operation {
	sync?: SyncOperation;
	initiatedBy?: OperationInitiator;
	info?: Info[];
	retry?: RetryStrategy;
}

export interface OperationInitiator {
	username?: string;
	automated?: boolean;
}

export interface SyncOperation {
	revision?: string;
	revisions?: string[];
	prune?: boolean;
	dryRun?: boolean;
	syncStrategy?: SyncStrategy;
	resources?: SyncOperationResource[];
	source?: ApplicationSource;
	sources?: ApplicationSource[];
	manifests?: string[];
	syncOptions?: string[];
	autoHealAttemptsCount?: number;
}

export interface SyncStrategy {
	apply?: { force?: boolean };
	hook?: { force?: boolean };
}

export interface SyncOperationResource {
	group?: string;
	kind: string;
	name: string;
	namespace?: string;
	/** With `!`: leaves this resource out. */
	exclude?: boolean;
}

export type SyncStatusCode = 'Unknown' | 'Synced' | 'OutOfSync';

export interface ApplicationStatus {
	resources?: ResourceStatus[];
	sync?: SyncStatus;
	health?: ApplicationHealth;
	history?: RevisionHistory[];
	conditions?: ApplicationCondition[];
	reconciledAt?: string;
	operationState?: OperationState;
	observedAt?: string;
	sourceType?: SourceType;
	sourceTypes?: SourceType[];
	summary?: { externalURLs?: string[]; images?: string[] };
	resourceHealthSource?: string;
	controllerNamespace?: string;
	/** Beyond Argo CD: when what has drifted is mended, where that waits. */
	selfHealAt?: string;
	/** Beyond Argo CD: how many more resources there are than `resources` lists. */
	resourcesLeftOut?: number;
	sourceHydrator?: Record<string, unknown>;
}

export type SourceType = 'Helm' | 'Kustomize' | 'Directory' | 'Plugin' | '';

export interface ApplicationHealth {
	status?: HealthStatus;
	message?: string;
	lastTransitionTime?: string;
}

export interface SyncStatus {
	status: SyncStatusCode;
	comparedTo?: ComparedTo;
	revision?: string;
	revisions?: string[];
}

export interface ComparedTo {
	source?: ApplicationSource;
	sources?: ApplicationSource[];
	destination: ApplicationDestination;
	ignoreDifferences?: ResourceIgnoreDifferences[];
}

export interface ResourceStatus {
	group?: string;
	version?: string;
	kind?: string;
	namespace?: string;
	name?: string;
	status?: SyncStatusCode;
	health?: ApplicationHealth;
	hook?: boolean;
	requiresPruning?: boolean;
	requiresDeletionConfirmation?: boolean;
	syncWave?: number;
	/** Beyond Argo CD: where the object differs from its manifest, field by field. */
	drift?: ReportedDrift[];
	/** Beyond Argo CD: how many fields have drifted, where `drift` does not list them all. */
	driftedFields?: number;
	/** Beyond Argo CD: where the object is written, while it is missing. */
	origin?: ReportedOrigin;
	/** Beyond Argo CD: why the API refuses the object as it is written, or why it is kept. */
	message?: string;
	/** Beyond Argo CD: how many fields people have set beside the source, by their tools. They are no drift. */
	unmanaged?: { manager: string; fields: number }[];
}

/** One drifted field. A side without the field has no value; values are JSON text, cut at 1 KiB. */
export interface ReportedDrift {
	/** `.spec.template.spec.containers[name="web"].image`. */
	path: string;
	live?: string;
	desired?: string;
	/** The field manager that owns the live value, and when it last wrote. */
	manager?: string;
	time?: string;
	/** Where the desired value is written; for a field that is not written any more, the object. */
	origin?: ReportedOrigin;
}

/** A place in the source; line and column from 1. */
export interface ReportedOrigin {
	/** Which of several sources: its name, or its URL. */
	source?: string;
	file: string;
	line: number;
	column: number;
}

export interface RevisionHistory {
	id: number;
	deployedAt: string;
	deployStartedAt?: string;
	revision?: string;
	revisions?: string[];
	source?: ApplicationSource;
	sources?: ApplicationSource[];
	/** Beyond Argo CD: where the objects went, so that another destination is known for a change. */
	destination?: ApplicationDestination;
	initiatedBy?: OperationInitiator;
}

export interface ApplicationCondition {
	type: string;
	message: string;
	lastTransitionTime?: string;
}

export type OperationPhase = 'Running' | 'Terminating' | 'Failed' | 'Error' | 'Succeeded';

export interface OperationState {
	operation: Operation;
	phase: OperationPhase;
	startedAt: string;
	finishedAt?: string;
	message?: string;
	retryCount?: number;
	syncResult?: SyncOperationResult;
}

export interface SyncOperationResult {
	revision: string;
	revisions?: string[];
	source?: ApplicationSource;
	sources?: ApplicationSource[];
	/** Beyond Argo CD: where the objects go. */
	destination?: ApplicationDestination;
	resources?: ResourceResult[];
	/** Beyond Argo CD: how many more it did something with than `resources` lists. */
	resourcesLeftOut?: number;
	managedNamespaceMetadata?: { labels?: Record<string, string>; annotations?: Record<string, string> };
}

export interface ResourceResult {
	group: string;
	version: string;
	kind: string;
	namespace: string;
	name: string;
	status?: 'Synced' | 'SyncFailed' | 'Pruned' | 'PruneSkipped';
	message?: string;
	hookType?: string;
	hookPhase?: OperationPhase;
	syncPhase?: string;
	images?: string[];
}
