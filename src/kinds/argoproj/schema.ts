/**
 * The schemas of Argo CD's Application. Source: Argo CD documentation, "Application Specification Reference", and the
 * fields of its custom resource definition. Its lists have no merge keys there: each is one value.
 */
import type { Schema, Schemas } from '../schema.ts';

const prefix = 'io.argoproj.v1alpha1';
const meta = 'io.k8s.apimachinery.pkg.apis.meta.v1';

const text = (description: string): Schema => ({ type: 'string', description });
const flag = (description: string): Schema => ({ type: 'boolean', description });
const whole = (description: string, format = 'int64'): Schema => ({ type: 'integer', format, description });
const texts = (description: string): Schema => ({ type: 'array', items: { type: 'string' }, description });
const textMap = (description: string): Schema => ({
	type: 'object',
	additionalProperties: { type: 'string' },
	description,
});
const flagMap = (description: string): Schema => ({
	type: 'object',
	additionalProperties: { type: 'boolean' },
	description,
});
const one = (name: string, description: string, from = prefix): Schema => ({
	description,
	allOf: [{ $ref: `#/components/schemas/${from}.${name}` }],
});
const many = (name: string, description: string): Schema => ({
	type: 'array',
	items: { $ref: `#/components/schemas/${prefix}.${name}` },
	description,
});
const time = (description: string) => one('Time', description, meta);
const struct = (description: string, properties: Record<string, Schema>, required: readonly string[] = []): Schema => ({
	type: 'object',
	description,
	properties,
	...(required.length > 0 && { required }),
});
const open = (description: string): Schema => ({
	type: 'object',
	description,
	'x-kubernetes-preserve-unknown-fields': true,
});

const source = one('ApplicationSource', 'Where the manifests come from.');
const sources = many('ApplicationSource', 'Several sources of one application.');
const revision = text('The revision of the source: a commit, or the version of a chart.');
const revisions = texts('The revision of each of several sources.');
const initiator = one('OperationInitiator', 'Who asked for the operation.');
const namespaceMetadata = one(
	'ManagedNamespaceMetadata',
	'Labels and annotations of a namespace that the sync creates.',
);

const named: Record<string, Schema> = {
	Application: {
		...struct(
			'A set of Kubernetes objects that is kept as a source describes it.',
			{
				apiVersion: text('The version of the schema of this object.'),
				kind: text('The kind of this object.'),
				metadata: one('ObjectMeta', 'Metadata of the object.', meta),
				spec: one('ApplicationSpec', 'What the application is to be.'),
				status: one('ApplicationStatus', 'What the application is.'),
				operation: one('Operation', 'An operation to start; taken away when it starts.'),
			},
			['metadata', 'spec'],
		),
		'x-kubernetes-group-version-kind': [{ group: 'argoproj.io', version: 'v1alpha1', kind: 'Application' }],
	},
	ApplicationList: {
		...struct(
			'A list of Applications.',
			{
				apiVersion: text('The version of the schema of this object.'),
				kind: text('The kind of this object.'),
				metadata: one('ListMeta', 'Metadata of the list.', meta),
				items: many('Application', 'The applications.'),
			},
			['items'],
		),
		'x-kubernetes-group-version-kind': [{ group: 'argoproj.io', version: 'v1alpha1', kind: 'ApplicationList' }],
	},
	ApplicationSpec: struct(
		'What the application is to be.',
		{
			project: text('The project that the application belongs to.'),
			destination: one('ApplicationDestination', 'The cluster and the namespace for the objects.'),
			source,
			sources,
			sourceHydrator: one('SourceHydrator', 'Rendering of manifests into a branch of their own.'),
			syncPolicy: one('SyncPolicy', 'When and how the application is synced.'),
			ignoreDifferences: many('ResourceIgnoreDifferences', 'Fields whose difference does not count as drift.'),
			info: many('Info', 'Links and remarks for people.'),
			revisionHistoryLimit: whole('How many past syncs are kept for rollback. Defaults to 10.'),
		},
		['project', 'destination'],
	),
	ApplicationDestination: struct('The cluster and the namespace for the objects.', {
		server: text('The address of the cluster; https://kubernetes.default.svc is this one.'),
		name: text('The name of the cluster, instead of its address.'),
		namespace: text('The namespace of objects that name none.'),
	}),
	ApplicationSource: struct(
		'Where manifests come from.',
		{
			repoURL: text('The URL of the repository: git, or Helm charts.'),
			path: text('The folder within a git repository.'),
			targetRevision: text('Branch, tag or commit in git, or version of the chart. HEAD when absent.'),
			chart: text('The name of a Helm chart, instead of a path.'),
			ref: text('A name by which value files of other sources refer to this one.'),
			name: text('A name of this source, for people.'),
			helm: one('ApplicationSourceHelm', 'How a chart is rendered.'),
			kustomize: one('ApplicationSourceKustomize', 'How a kustomization is rendered.'),
			directory: one('ApplicationSourceDirectory', 'How a folder of plain manifests is read.'),
			plugin: one('ApplicationSourcePlugin', 'A plugin that renders the manifests.'),
		},
		['repoURL'],
	),
	ApplicationSourceHelm: struct('How a chart is rendered.', {
		valueFiles: texts('Files of values, the later one wins.'),
		parameters: many('HelmParameter', 'Single values, which win over files.'),
		fileParameters: many('HelmFileParameter', 'Single values that are read from files.'),
		releaseName: text('The name of the release. The name of the application when absent.'),
		values: text('Values as YAML text.'),
		valuesObject: open('Values as an object; wins over values.'),
		version: text('The version of Helm.'),
		passCredentials: flag('Passes credentials to all domains.'),
		ignoreMissingValueFiles: flag('Passes over files of values that do not exist.'),
		skipCrds: flag('Leaves custom resource definitions of the chart out.'),
		skipTests: flag('Leaves tests of the chart out.'),
		skipSchemaValidation: flag('Does not check values against the schema of the chart.'),
		namespace: text('The namespace that the chart is rendered for.'),
		kubeVersion: text('The Kubernetes version that the chart is rendered for.'),
		apiVersions: texts('The API versions that the chart is told of.'),
	}),
	HelmParameter: struct('A single value.', {
		name: text('Its name, with dots.'),
		value: text('Its value.'),
		forceString: flag('Takes numbers and booleans as text.'),
	}),
	HelmFileParameter: struct('A single value from a file.', {
		name: text('Its name, with dots.'),
		path: text('The file that holds it.'),
	}),
	ApplicationSourceKustomize: struct('How a kustomization is rendered.', {
		namePrefix: text('Put before every name.'),
		nameSuffix: text('Put after every name.'),
		images: texts('Images to replace: `name=newname:tag`.'),
		commonLabels: textMap('Labels for every object.'),
		commonAnnotations: textMap('Annotations for every object.'),
		commonAnnotationsEnvsubst: flag('Replaces variables in the values of common annotations.'),
		version: text('The version of kustomize.'),
		forceCommonLabels: flag('Replaces labels that are there already.'),
		forceCommonAnnotations: flag('Replaces annotations that are there already.'),
		namespace: text('The namespace of every object.'),
		replicas: many('KustomizeReplica', 'Numbers of replicas to set.'),
		patches: many('KustomizePatch', 'Patches to apply.'),
		components: texts('Components to add.'),
		ignoreMissingComponents: flag('Passes over components that do not exist.'),
		labelWithoutSelector: flag('Leaves selectors as they are when labels are added.'),
		labelIncludeTemplates: flag('Adds the labels to templates as well.'),
		kubeVersion: text('The Kubernetes version for charts within the kustomization.'),
		apiVersions: texts('The API versions that such charts are told of.'),
	}),
	KustomizeReplica: struct(
		'A number of replicas to set.',
		{
			name: text('The name of the Deployment or StatefulSet.'),
			count: one('IntOrString', 'How many replicas.', 'io.k8s.apimachinery.pkg.util.intstr'),
		},
		['name', 'count'],
	),
	KustomizePatch: struct('A patch to apply.', {
		path: text('A file that holds the patch.'),
		patch: text('The patch itself.'),
		target: one('KustomizeSelector', 'What is patched.'),
		options: flagMap('Options of the patch.'),
	}),
	KustomizeSelector: struct('What a patch is for.', {
		group: text('API group.'),
		version: text('API version.'),
		kind: text('Kind.'),
		name: text('Name, or a regular expression.'),
		namespace: text('Namespace, or a regular expression.'),
		labelSelector: text('Labels of the objects.'),
		annotationSelector: text('Annotations of the objects.'),
	}),
	ApplicationSourceDirectory: struct('How a folder of plain manifests is read.', {
		recurse: flag('Reads the folders below it as well.'),
		exclude: text('A pattern of files that are left out.'),
		include: text('A pattern of files that are read, and no others.'),
		jsonnet: one('ApplicationSourceJsonnet', 'How Jsonnet files are rendered.'),
	}),
	ApplicationSourceJsonnet: struct('How Jsonnet files are rendered.', {
		extVars: many('JsonnetVar', 'External variables.'),
		tlas: many('JsonnetVar', 'Top-level arguments.'),
		libs: texts('Folders of libraries.'),
	}),
	JsonnetVar: struct(
		'A variable of Jsonnet.',
		{ name: text('Its name.'), value: text('Its value.'), code: flag('Takes the value as code.') },
		['name', 'value'],
	),
	ApplicationSourcePlugin: struct('A plugin that renders the manifests.', {
		name: text('The name of the plugin.'),
		env: many('EnvEntry', 'Environment variables for it.'),
		parameters: many('ApplicationSourcePluginParameter', 'Parameters for it.'),
	}),
	EnvEntry: struct('An environment variable.', { name: text('Its name.'), value: text('Its value.') }, [
		'name',
		'value',
	]),
	ApplicationSourcePluginParameter: struct('A parameter of a plugin.', {
		name: text('Its name.'),
		string: text('Its value, as text.'),
		map: textMap('Its value, as a map.'),
		array: texts('Its value, as a list.'),
	}),
	SourceHydrator: struct(
		'Rendering of manifests into a branch of their own.',
		{
			drySource: one('DrySource', 'Where the unrendered manifests are.'),
			syncSource: one('SyncSource', 'Where the rendered manifests are, and synced from.'),
			hydrateTo: one('HydrateTo', 'A branch to render to, before it reaches the one that is synced.'),
		},
		['drySource', 'syncSource'],
	),
	DrySource: struct(
		'Where the unrendered manifests are.',
		{
			repoURL: text('The URL of the repository.'),
			targetRevision: text('Branch, tag or commit.'),
			path: text('The folder.'),
			helm: one('ApplicationSourceHelm', 'How a chart is rendered.'),
			kustomize: one('ApplicationSourceKustomize', 'How a kustomization is rendered.'),
			directory: one('ApplicationSourceDirectory', 'How a folder of plain manifests is read.'),
			plugin: one('ApplicationSourcePlugin', 'A plugin that renders the manifests.'),
		},
		['repoURL', 'targetRevision', 'path'],
	),
	SyncSource: struct(
		'Where the rendered manifests are.',
		{ targetBranch: text('The branch.'), path: text('The folder.') },
		['targetBranch', 'path'],
	),
	HydrateTo: struct('Where rendered manifests wait.', { targetBranch: text('The branch.') }, ['targetBranch']),
	SyncPolicy: struct('When and how an application is synced.', {
		automated: one('SyncPolicyAutomated', 'Syncs without being asked.'),
		syncOptions: texts('Options of a sync: `CreateNamespace=true`, `Prune=false`, `ServerSideApply=true`, ...'),
		retry: one('RetryStrategy', 'What happens after a failed sync.'),
		managedNamespaceMetadata: namespaceMetadata,
	}),
	SyncPolicyAutomated: struct('Syncs without being asked.', {
		prune: flag('Deletes objects that have left the source. Off when absent.'),
		selfHeal: flag('Undoes changes made beside the source. Off when absent.'),
		allowEmpty: flag('Lets an empty source delete every object. Off when absent.'),
		enabled: flag('Off: the automation stands still, though configured.'),
	}),
	RetryStrategy: struct('What happens after a failed sync.', {
		limit: whole('How often it is tried again; negative: without end.'),
		refresh: flag('Takes the newest revision for a further try.'),
		backoff: one('Backoff', 'How long it waits between tries.'),
	}),
	Backoff: struct('How long tries wait.', {
		duration: text('The first wait: `5s`, `2m`, `1h`; a number is seconds.'),
		factor: whole('What each wait is multiplied by.'),
		maxDuration: text('The longest wait.'),
	}),
	ManagedNamespaceMetadata: struct('Labels and annotations of a namespace that the sync creates.', {
		labels: textMap('Labels.'),
		annotations: textMap('Annotations.'),
	}),
	ResourceIgnoreDifferences: struct(
		'Fields whose difference does not count as drift.',
		{
			group: text('API group of the objects.'),
			kind: text('Kind of the objects.'),
			name: text('Name; all when absent.'),
			namespace: text('Namespace; all when absent.'),
			jsonPointers: texts('Fields, as JSON pointers.'),
			jqPathExpressions: texts('Fields, as jq paths.'),
			managedFieldsManagers: texts('Fields that one of these managers owns.'),
		},
		['kind'],
	),
	Info: struct('A link or remark.', { name: text('What it is.'), value: text('The link or remark.') }, [
		'name',
		'value',
	]),
	Operation: struct('An operation on an application.', {
		sync: one('SyncOperation', 'Makes the cluster as the source says.'),
		initiatedBy: initiator,
		info: many('Info', 'Remarks for people.'),
		retry: one('RetryStrategy', 'What happens after a failure.'),
	}),
	OperationInitiator: struct('Who asked for an operation.', {
		username: text('The person.'),
		automated: flag('Nobody: the policy did.'),
	}),
	SyncOperation: struct('Makes the cluster as the source says.', {
		revision: text('The revision to sync to. That of the spec when absent.'),
		revisions,
		prune: flag('Deletes objects that have left the source.'),
		dryRun: flag('Changes nothing.'),
		syncStrategy: one('SyncStrategy', 'How objects are applied.'),
		resources: many('SyncOperationResource', 'Only these objects.'),
		source,
		sources,
		manifests: texts('Manifests to sync instead of those of the source.'),
		syncOptions: texts('Options of the sync.'),
		autoHealAttemptsCount: whole('How often this revision was healed.'),
	}),
	SyncStrategy: struct('How objects are applied.', {
		apply: one('SyncStrategyApply', 'By apply alone.'),
		hook: one('SyncStrategyHook', 'By apply, with hooks.'),
	}),
	SyncStrategyApply: struct('By apply alone.', { force: flag('Deletes and creates what cannot be changed.') }),
	SyncStrategyHook: struct('By apply, with hooks.', { force: flag('Deletes and creates what cannot be changed.') }),
	SyncOperationResource: struct(
		'One object of a sync.',
		{
			group: text('API group.'),
			kind: text('Kind.'),
			name: text('Name.'),
			namespace: text('Namespace.'),
			exclude: flag('All but this one.'),
		},
		['kind', 'name'],
	),
	ApplicationStatus: struct('What an application is.', {
		resources: many('ResourceStatus', 'Each object of the application.'),
		sync: one('SyncStatus', 'Whether the cluster is as the source says.'),
		health: one('AppHealthStatus', 'Whether the application works.'),
		history: many('RevisionHistory', 'Past syncs, the newest last.'),
		conditions: many('ApplicationCondition', 'What is wrong, or worth to be known.'),
		reconciledAt: time('When the source was compared last.'),
		operationState: one('OperationState', 'The operation that runs, or ran last.'),
		observedAt: time('When the status was taken.'),
		sourceType: text('Helm, Kustomize, Directory or Plugin.'),
		sourceTypes: texts('The type of each of several sources.'),
		summary: one('ApplicationSummary', 'URLs and images of the application.'),
		resourceHealthSource: text('Where the health of single objects is kept.'),
		selfHealAt: time('When what has drifted is mended, where that waits.'),
		resourcesLeftOut: whole('How many more resources there are.'),
		controllerNamespace: text('The namespace of the controller that keeps the application.'),
		sourceHydrator: open('State of the rendering into a branch.'),
	}),
	ApplicationSummary: struct('URLs and images of an application.', {
		externalURLs: texts('Where the application is reached.'),
		images: texts('Images that it runs.'),
	}),
	AppHealthStatus: struct('Whether something works.', {
		status: text('Healthy, Progressing, Degraded, Suspended, Missing or Unknown.'),
		message: text('Why.'),
		lastTransitionTime: time('Since when.'),
	}),
	SyncStatus: struct(
		'Whether the cluster is as the source says.',
		{
			status: text('Synced, OutOfSync or Unknown.'),
			comparedTo: one('ComparedTo', 'What it was compared with.'),
			revision,
			revisions,
		},
		['status'],
	),
	ComparedTo: struct(
		'What an application was compared with.',
		{
			source,
			sources,
			destination: one('ApplicationDestination', 'The cluster and the namespace.'),
			ignoreDifferences: many('ResourceIgnoreDifferences', 'Differences that did not count.'),
		},
		['destination'],
	),
	ResourceStatus: struct('One object of an application.', {
		group: text('API group.'),
		version: text('API version.'),
		kind: text('Kind.'),
		namespace: text('Namespace.'),
		name: text('Name.'),
		status: text('Synced, OutOfSync or Unknown.'),
		health: one('AppHealthStatus', 'Whether it works.'),
		hook: flag('It is a hook.'),
		requiresPruning: flag('It has left the source and is still there.'),
		requiresDeletionConfirmation: flag('It is deleted only when somebody agrees.'),
		syncWave: whole('The wave in which it is applied.'),
		drift: many('ReportedDrift', 'Beyond Argo CD: where the object differs from its manifest.'),
		driftedFields: whole('Beyond Argo CD: how many fields have drifted, where `drift` does not list them all.'),
		origin: one('ReportedOrigin', 'Beyond Argo CD: where the object is written, while it is missing.'),
		message: text('Beyond Argo CD: why the API refuses the object as it is written, or why it is kept.'),
		unmanaged: many('UnmanagedFields', 'Beyond Argo CD: fields that people have set beside the source.'),
	}),
	UnmanagedFields: struct(
		'Fields that people have set beside the source.',
		{ manager: text('The tool they did it with.'), fields: whole('How many fields it owns alone.') },
		['manager', 'fields'],
	),
	ReportedDrift: struct(
		'One drifted field. A side without the field has no value.',
		{
			path: text('The field.'),
			live: text('The value that is there, as JSON.'),
			desired: text('The value that is written, as JSON.'),
			manager: text('Who owns the value that is there.'),
			time: time('When they wrote last.'),
			origin: one('ReportedOrigin', 'Where the desired value is written.'),
		},
		['path'],
	),
	ReportedOrigin: struct(
		'A place in the source.',
		{
			source: text('Which of several sources: its name, or its URL.'),
			file: text('The file.'),
			line: whole('The line, from 1.'),
			column: whole('The column, from 1.'),
		},
		['file', 'line', 'column'],
	),
	RevisionHistory: struct(
		'A past sync.',
		{
			id: whole('Its number.'),
			deployedAt: time('When it ended.'),
			deployStartedAt: time('When it began.'),
			revision,
			revisions,
			source,
			sources,
			destination: one('ApplicationDestination', 'Where the objects went.'),
			initiatedBy: initiator,
		},
		['deployedAt', 'id'],
	),
	ApplicationCondition: struct(
		'What is wrong, or worth to be known.',
		{
			type: text('What, in one word.'),
			message: text('What, in a sentence.'),
			lastTransitionTime: time('Since when.'),
		},
		['type', 'message'],
	),
	OperationState: struct(
		'An operation that runs or ran.',
		{
			operation: one('Operation', 'What was asked for.'),
			phase: text('Running, Terminating, Failed, Error or Succeeded.'),
			startedAt: time('When it began.'),
			finishedAt: time('When it ended.'),
			message: text('How it goes.'),
			retryCount: whole('How often it was tried again.'),
			syncResult: one('SyncOperationResult', 'What it did.'),
		},
		['operation', 'phase', 'startedAt'],
	),
	SyncOperationResult: struct(
		'What a sync did.',
		{
			revision,
			revisions,
			source,
			sources,
			destination: one('ApplicationDestination', 'Where the objects go.'),
			resources: many('ResourceResult', 'What it did with each object.'),
			resourcesLeftOut: whole('How many more it did something with.'),
			managedNamespaceMetadata: namespaceMetadata,
		},
		['revision'],
	),
	ResourceResult: struct(
		'What a sync did with an object.',
		{
			group: text('API group.'),
			version: text('API version.'),
			kind: text('Kind.'),
			namespace: text('Namespace.'),
			name: text('Name.'),
			status: text('Synced, SyncFailed, Pruned or PruneSkipped.'),
			message: text('What happened.'),
			hookType: text('The kind of hook it is.'),
			hookPhase: text('What the hook is at.'),
			syncPhase: text('PreSync, Sync, PostSync or SyncFail.'),
			images: texts('Images that it runs.'),
		},
		['group', 'kind', 'name', 'namespace', 'version'],
	),
};

/** By OpenAPI name: `io.argoproj.v1alpha1.Application`, ... */
export const applicationSchemas: Schemas = Object.fromEntries(
	Object.entries(named).map(([name, schema]) => [`${prefix}.${name}`, schema]),
);
