/** Containers in descriptions of pods and of pod templates. */
import type { Container, ContainerState, ContainerStatus, EnvVar, Probe } from 'kubernetes-types/core/v1.js';
import { type Entry, field, NONE, optional, pairs, section, timeText } from './layout.ts';

/** `status` is absent in templates, and before a node has reported. */
export function containerEntry(container: Container, status: ContainerStatus | undefined, live: boolean): Entry {
	const { ports = [], resources = {} } = container;
	const [portLabel, hostLabel] = ports.length > 1 ? ['Ports', 'Host Ports'] : ['Port', 'Host Port'];
	return {
		label: container.name,
		under: [
			...(live ? [field('Container ID', status?.containerID)] : []),
			field('Image', container.image),
			...(live ? [field('Image ID', status?.imageID)] : []),
			field(
				portLabel ?? '',
				ports
					.map((port) => `${port.containerPort}/${port.protocol ?? 'TCP'}${port.name ? ` (${port.name})` : ''}`)
					.join(', '),
			),
			field(hostLabel ?? '', ports.map((port) => `${port.hostPort ?? 0}/${port.protocol ?? 'TCP'}`).join(', ')),
			...list('Command', container.command),
			...list('Args', container.args),
			...optional('Working Dir', container.workingDir),
			...(live ? stateFields(status) : []),
			...amounts('Limits', resources.limits),
			...amounts('Requests', resources.requests),
			...probe('Liveness', container.livenessProbe),
			...probe('Readiness', container.readinessProbe),
			...probe('Startup', container.startupProbe),
			...sources(container),
			section('Environment', (container.env ?? []).map(environment)),
			mounts(container),
		],
	};
}

function stateFields(status: ContainerStatus | undefined): Entry[] {
	if (!status) return [];
	const last =
		status.lastState && Object.keys(status.lastState).length > 0 ? [stateEntry('Last State', status.lastState)] : [];
	return [
		stateEntry('State', status.state),
		...last,
		field('Ready', status.ready ? 'True' : 'False'),
		field('Restart Count', status.restartCount),
	];
}

function stateEntry(label: string, state: ContainerState | undefined): Entry {
	if (state?.running) return field(label, 'Running', [field('Started', timeText(state.running.startedAt))]);
	if (state?.terminated) {
		const { reason, message, exitCode, signal, startedAt, finishedAt } = state.terminated;
		return field(label, 'Terminated', [
			...optional('Reason', reason),
			...optional('Message', message),
			field('Exit Code', exitCode),
			...optional('Signal', signal || undefined),
			field('Started', timeText(startedAt)),
			field('Finished', timeText(finishedAt)),
		]);
	}
	const { reason, message } = state?.waiting ?? {};
	return field(label, 'Waiting', [...optional('Reason', reason), ...optional('Message', message)]);
}

const list = (label: string, words: readonly string[] | undefined): Entry[] =>
	words?.length ? [{ label, lines: words.flatMap((word) => word.split('\n')) }] : [];

export function amounts(label: string, resources: Readonly<Record<string, string>> | undefined): Entry[] {
	const entries = Object.entries(resources ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
	return entries.length > 0 ? [{ label, under: entries.map(([name, value]) => field(name, value)) }] : [];
}

function probe(label: string, probe: Probe | undefined): Entry[] {
	if (!probe) return [];
	const { initialDelaySeconds: delay = 0, timeoutSeconds: timeout = 1, periodSeconds: period = 10 } = probe;
	const { successThreshold: success = 1, failureThreshold: failure = 3 } = probe;
	const timing = `delay=${delay}s timeout=${timeout}s period=${period}s #success=${success} #failure=${failure}`;
	return [field(label, `${handler(probe)} ${timing}`)];
}

function handler({ exec, httpGet, tcpSocket, grpc }: Probe): string {
	if (exec) return `exec [${(exec.command ?? []).join(' ')}]`;
	if (httpGet) {
		const { scheme = 'HTTP', host = '', port, path = '/' } = httpGet;
		return `http-get ${scheme.toLowerCase()}://${host}:${port}${path}`;
	}
	if (tcpSocket) return `tcp-socket ${tcpSocket.host ?? ''}:${tcpSocket.port}`;
	if (grpc) return `grpc <pod>:${grpc.port} ${grpc.service ?? ''}`.trimEnd();
	return 'unknown';
}

function sources({ envFrom = [] }: Container): Entry[] {
	if (envFrom.length === 0) return [];
	const rows = envFrom.map(({ configMapRef, secretRef, prefix }) => {
		const of = configMapRef ?? secretRef;
		const what = `${configMapRef ? 'ConfigMap' : 'Secret'}${prefix ? ` with prefix '${prefix}'` : ''}`;
		return field(of?.name ?? '', `${what}  Optional: ${of?.optional ?? false}`);
	});
	return [{ label: 'Environment Variables from', under: rows }];
}

function environment({ name, value, valueFrom }: EnvVar): Entry {
	if (!valueFrom) return { label: name, value: value ?? '' };
	const { configMapKeyRef: config, secretKeyRef: secret, fieldRef, resourceFieldRef } = valueFrom;
	if (config)
		return field(
			name,
			`<set to the key '${config.key}' of config map '${config.name}'>  Optional: ${config.optional ?? false}`,
		);
	if (secret)
		return field(
			name,
			`<set to the key '${secret.key}' in secret '${secret.name}'>  Optional: ${secret.optional ?? false}`,
		);
	if (fieldRef) return field(name, `(${fieldRef.apiVersion ?? 'v1'}:${fieldRef.fieldPath})`);
	return field(name, resourceFieldRef ? `(${resourceFieldRef.resource})` : NONE);
}

function mounts({ volumeMounts = [] }: Container): Entry {
	if (volumeMounts.length === 0) return field('Mounts', undefined);
	const lines = volumeMounts.map(({ mountPath, name, readOnly, subPath }) => {
		const how = [readOnly ? 'ro' : 'rw', ...(subPath ? [`path="${subPath}"`] : [])];
		return `${mountPath} from ${name} (${how.join(',')})`;
	});
	return { label: 'Mounts', lines: lines.sort() };
}

/** The pod template of a workload. */
export function templateEntry(template: {
	readonly metadata?: { readonly labels?: Record<string, string>; readonly annotations?: Record<string, string> };
	readonly spec?: {
		readonly containers: Container[];
		readonly initContainers?: Container[];
		readonly serviceAccountName?: string;
	};
}): Entry {
	const { metadata, spec } = template;
	const containers = (label: string, all: readonly Container[] | undefined) =>
		all?.length
			? [
					section(
						label,
						all.map((container) => containerEntry(container, undefined, false)),
					),
				]
			: [];
	return {
		label: 'Pod Template',
		under: [
			field('Labels', pairs(metadata?.labels)),
			...(metadata?.annotations ? [field('Annotations', pairs(metadata.annotations, ': '))] : []),
			...optional('Service Account', spec?.serviceAccountName),
			...containers('Init Containers', spec?.initContainers),
			...containers('Containers', spec?.containers),
		],
	};
}
