import test from 'ava';
import type { Dynamic } from '../../src/kinds/index.ts';
import { admit, changed, manifests } from './manifests.ts';

const of = (kind: string, name?: string): Dynamic => {
	const found = manifests().find((each) => each.kind === kind && (!name || each.metadata.name === name));
	if (!found) throw new Error(`no ${kind}`);
	return found;
};
const pod = (spec: object) => changed(of('Pod'), { spec: { volumes: [], hostNetwork: false, ...spec } });
const container = (more: object) => pod({ containers: [{ name: 'web', image: 'nginx', ...more }] });
const deployment = (spec: object) => changed(of('Deployment'), { spec });
const service = (spec: object) => changed(of('Service', 'frontend'), { spec });
const secret = (more: object) => changed(of('Secret'), { stringData: undefined, ...more });

const label =
	"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const probe = { httpGet: { port: 80 } };

/** What is refused, and every line of the answer. */
const refused: [string, Dynamic, string[]][] = [
	// metadata
	[
		'an object without a name',
		changed(of('ConfigMap'), { metadata: { name: undefined } }),
		['metadata.name: Required value: name or generateName is required'],
	],
	[
		'a namespaced object without a namespace',
		changed(of('ConfigMap'), { metadata: { namespace: undefined } }),
		['metadata.namespace: Required value'],
	],
	[
		'a namespace in a namespace',
		changed(of('Namespace'), { metadata: { namespace: 'a' } }),
		['metadata.namespace: Forbidden: not allowed on this type'],
	],
	[
		'a namespace with a dot',
		changed(of('Namespace'), { metadata: { name: 'a.b' } }),
		[`metadata.name: Invalid value: "a.b": ${label}`],
	],
	[
		'a label value with a blank',
		changed(of('ConfigMap'), { metadata: { labels: { app: 'a b' } } }),
		[
			"metadata.labels: Invalid value: \"a b\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
		],
	],
	[
		'annotations of more than 256 KiB',
		changed(of('ConfigMap'), { metadata: { annotations: { a: 'x'.repeat(262_144) } } }),
		['metadata.annotations: Too long: may not be more than 262144 bytes'],
	],
	[
		'a finalizer without a domain',
		changed(of('ConfigMap'), { metadata: { finalizers: ['mine'] } }),
		['metadata.finalizers: Invalid value: "mine": name is neither a standard finalizer name nor is it fully qualified'],
	],
	[
		'an owner without uid',
		changed(of('ConfigMap'), {
			metadata: { ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: 'a', uid: '' }] },
		}),
		['metadata.ownerReferences[0].uid: Invalid value: "": must not be empty'],
	],

	// pods
	['a pod without containers', pod({ containers: [] }), ['spec.containers: Required value']],
	[
		'a container without name and image',
		pod({ containers: [{}] }),
		['spec.containers[0].name: Required value', 'spec.containers[0].image: Required value'],
	],
	[
		'a container name in capitals',
		container({ name: 'Web' }),
		[`spec.containers[0].name: Invalid value: "Web": ${label}`],
	],
	[
		'two containers of one name',
		pod({
			containers: [
				{ name: 'a', image: 'a' },
				{ name: 'a', image: 'b' },
			],
		}),
		['spec.containers[1].name: Duplicate value: "a"'],
	],
	[
		'an init container named as a container',
		pod({ initContainers: [{ name: 'shell', image: 'a' }] }),
		['spec.initContainers[0].name: Duplicate value: "shell"'],
	],
	[
		'an image with blanks around',
		container({ image: ' nginx' }),
		['spec.containers[0].image: Invalid value: " nginx": must not have leading or trailing whitespace'],
	],
	[
		'a pull policy that does not exist',
		container({ imagePullPolicy: 'Sometimes' }),
		[
			'spec.containers[0].imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"',
		],
	],
	[
		'a restart policy that does not exist',
		pod({ restartPolicy: 'Maybe' }),
		['spec.restartPolicy: Unsupported value: "Maybe": supported values: "Always", "OnFailure", "Never"'],
	],
	[
		'a port out of range',
		container({ ports: [{ containerPort: 70_000 }] }),
		['spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive'],
	],
	['no port', container({ ports: [{ name: 'http' }] }), ['spec.containers[0].ports[0].containerPort: Required value']],
	[
		'two ports of one name',
		container({
			ports: [
				{ name: 'a', containerPort: 1 },
				{ name: 'a', containerPort: 2 },
			],
		}),
		['spec.containers[0].ports[1].name: Duplicate value: "a"'],
	],
	[
		'a protocol that does not exist',
		container({ ports: [{ containerPort: 80, protocol: 'ICMP' }] }),
		['spec.containers[0].ports[0].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"'],
	],
	[
		'one host port twice',
		pod({
			containers: ['a', 'b'].map((name) => ({ name, image: name, ports: [{ containerPort: 80, hostPort: 80 }] })),
		}),
		['spec.containers[1].ports[0].hostPort: Duplicate value: "TCP//80"'],
	],
	[
		'another host port on the network of the host',
		pod({ hostNetwork: true, containers: [{ name: 'a', image: 'a', ports: [{ containerPort: 80, hostPort: 81 }] }] }),
		['spec.containers[0].ports[0].containerPort: Invalid value: 80: must match `hostPort` when `hostNetwork` is true'],
	],
	[
		'a variable with = in its name',
		container({ env: [{ name: 'A=B', value: 'c' }] }),
		[
			'spec.containers[0].env[0].name: Invalid value: "A=B": a valid environment variable name must consist only of printable ASCII characters other than \'=\'',
		],
	],
	[
		'a variable with two sources',
		container({
			env: [
				{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'metadata.name' }, secretKeyRef: { name: 'a', key: 'b' } } },
			],
		}),
		['spec.containers[0].env[0].valueFrom: Invalid value: "": may not have more than one field specified at a time'],
	],
	[
		'a variable with a value and a source',
		container({ env: [{ name: 'A', value: 'b', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }] }),
		['spec.containers[0].env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty'],
	],
	[
		'a mount of no volume',
		container({ volumeMounts: [{ name: 'data', mountPath: '/data' }] }),
		['spec.containers[0].volumeMounts[0].name: Not found: "data"'],
	],
	[
		'two mounts in one place',
		pod({
			volumes: [{ name: 'a' }],
			containers: [
				{
					name: 'c',
					image: 'c',
					volumeMounts: [
						{ name: 'a', mountPath: '/a' },
						{ name: 'a', mountPath: '/a' },
					],
				},
			],
		}),
		['spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/a": must be unique'],
	],
	[
		'a mount out of its volume',
		pod({
			volumes: [{ name: 'a' }],
			containers: [{ name: 'c', image: 'c', volumeMounts: [{ name: 'a', mountPath: '/a', subPath: '../b' }] }],
		}),
		['spec.containers[0].volumeMounts[0].subPath: Invalid value: "../b": must not contain \'..\''],
	],
	[
		'a probe without handler',
		container({ livenessProbe: { periodSeconds: 3 } }),
		['spec.containers[0].livenessProbe: Required value: must specify a handler type'],
	],
	[
		'a probe with two handlers',
		container({ readinessProbe: { ...probe, tcpSocket: { port: 80 } } }),
		['spec.containers[0].readinessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type'],
	],
	[
		'a liveness probe that must succeed twice',
		container({ livenessProbe: { ...probe, successThreshold: 2 } }),
		['spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1'],
	],
	[
		'a probe of a negative delay',
		container({ livenessProbe: { ...probe, initialDelaySeconds: -1 } }),
		['spec.containers[0].livenessProbe.initialDelaySeconds: Invalid value: -1: must be greater than or equal to 0'],
	],
	[
		'a probe of an init container',
		pod({ initContainers: [{ name: 'i', image: 'i', livenessProbe: probe }] }),
		[
			'spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always',
		],
	],
	[
		'a sidecar policy where there is none',
		pod({
			containers: [{ name: 'c', image: 'c', restartPolicy: 'Always' }],
			initContainers: [{ name: 'i', image: 'i', restartPolicy: 'OnFailure' }],
		}),
		[
			'spec.containers[0].restartPolicy: Forbidden: may not be set for non-init containers',
			'spec.initContainers[0].restartPolicy: Unsupported value: "OnFailure": supported values: "Always"',
		],
	],
	[
		'sysctls with names that are none, and those that the machine shares',
		pod({
			hostNetwork: true,
			securityContext: {
				sysctls: [
					{ name: 'foo-', value: 'bar' },
					{ name: 'kernel.shmmax', value: '100000000' },
					{ name: 'bar..', value: '42' },
					{ name: 'net.ipv4.tcp_syncookies', value: '1' },
				],
			},
		}),
		[
			'spec.securityContext.sysctls[0].name: Invalid value: "foo-": must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$',
			'spec.securityContext.sysctls[2].name: Invalid value: "bar..": must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$',
			'spec.securityContext.sysctls[3].name: Invalid value: "net.ipv4.tcp_syncookies": may not be specified when \'hostNetwork\' is true',
		],
	],
	[
		'sysctls without a name',
		pod({ securityContext: { sysctls: [{ value: '0' }, { value: '1' }] } }),
		['spec.securityContext.sysctls[0].name: Required value', 'spec.securityContext.sysctls[1].name: Required value'],
	],
	[
		'profiles of the machine without a name, and names without such a profile',
		pod({
			securityContext: { seccompProfile: { type: 'Localhost' } },
			containers: [
				{
					name: 'c',
					image: 'c',
					securityContext: { seccompProfile: { type: 'RuntimeDefault', localhostProfile: 'a.json' } },
				},
			],
		}),
		[
			'spec.containers[0].securityContext.seccompProfile.localhostProfile: Invalid value: "a.json": can only be set when seccomp type is Localhost',
			'spec.securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost',
		],
	],
	[
		'mounts that reach the machine from a container that may not',
		pod({
			volumes: [{ name: 'a' }],
			containers: [
				{
					name: 'c',
					image: 'c',
					volumeMounts: [{ name: 'a', mountPath: '/a', mountPropagation: 'Bidirectional' }],
				},
			],
		}),
		[
			'spec.containers[0].volumeMounts[0].mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers',
		],
	],
	[
		'a request over the limit',
		container({ resources: { requests: { cpu: '2' }, limits: { cpu: '1500m' } } }),
		['spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1500m'],
	],
	[
		'a resource that does not exist',
		container({ resources: { limits: { cpus: '1' } } }),
		[
			'spec.containers[0].resources.limits[cpus]: Invalid value: "cpus": must be a standard resource type or fully qualified',
			'spec.containers[0].resources.limits[cpus]: Invalid value: "cpus": must be a standard resource for containers',
			'spec.containers[0].resources.requests[cpus]: Invalid value: "cpus": must be a standard resource type or fully qualified',
			'spec.containers[0].resources.requests[cpus]: Invalid value: "cpus": must be a standard resource for containers',
		],
	],
	[
		'half a device',
		container({ resources: { limits: { 'example.com/gpu': '500m' } } }),
		[
			'spec.containers[0].resources.limits[example.com/gpu]: Invalid value: "500m": must be an integer',
			'spec.containers[0].resources.requests[example.com/gpu]: Invalid value: "500m": must be an integer',
		],
	],
	[
		'fewer devices asked for than the container may have',
		container({ resources: { requests: { 'example.com/gpu': '1' }, limits: { 'example.com/gpu': '2' } } }),
		['spec.containers[0].resources.requests: Invalid value: "1": must be equal to example.com/gpu limit of 2'],
	],
	[
		'devices without a limit',
		container({ resources: { requests: { 'example.com/gpu': '1' } } }),
		['spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources'],
	],
	[
		'a device whose name is a quota’s',
		container({ resources: { limits: { 'requests.example.com/gpu': '1' } } }),
		[
			'spec.containers[0].resources.limits[requests.example.com/gpu]: Invalid value: "requests.example.com/gpu": doesn\'t follow extended resource name standard',
			'spec.containers[0].resources.requests[requests.example.com/gpu]: Invalid value: "requests.example.com/gpu": doesn\'t follow extended resource name standard',
		],
	],
	[
		'a node with half a device',
		changed(of('Node'), { status: { capacity: { 'example.com/gpu': '1500m' } } }),
		['status.capacity[example.com/gpu]: Invalid value: "1500m": must be an integer'],
	],
	[
		'a volume of two types',
		pod({ volumes: [{ name: 'a', emptyDir: {}, configMap: { name: 'c' } }] }),
		['spec.volumes[0].configMap: Forbidden: may not specify more than 1 volume type'],
	],
	[
		'two volumes of one name',
		pod({ volumes: [{ name: 'a' }, { name: 'a' }] }),
		['spec.volumes[1].name: Duplicate value: "a"'],
	],
	[
		'a host path that climbs',
		pod({ volumes: [{ name: 'a', hostPath: { path: '/a/../b' } }] }),
		['spec.volumes[0].hostPath.path: Invalid value: "/a/../b": must not contain \'..\''],
	],
	[
		'a file mode beyond 0777',
		pod({ volumes: [{ name: 'a', secret: { secretName: 's', defaultMode: 512 } }] }),
		[
			'spec.volumes[0].secret.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive',
		],
	],
	[
		'a toleration of seconds without NoExecute',
		pod({ tolerations: [{ key: 'a', operator: 'Exists', effect: 'NoSchedule', tolerationSeconds: 1 }] }),
		[
			'spec.tolerations[0].effect: Invalid value: "NoSchedule": effect must be \'NoExecute\' when `tolerationSeconds` is set',
		],
	],
	[
		'spreading by rules that do not go together',
		pod({
			topologySpreadConstraints: [
				{
					maxSkew: 1,
					topologyKey: 'zone',
					whenUnsatisfiable: 'ScheduleAnyway',
					minDomains: 0,
					nodeAffinityPolicy: 'Never',
					nodeTaintsPolicy: 'Never',
					labelSelector: { matchLabels: { app: 'web' } },
					matchLabelKeys: ['app', 'pod-template-hash'],
				},
				{ maxSkew: 1, topologyKey: 'node', whenUnsatisfiable: 'DoNotSchedule', matchLabelKeys: ['app'] },
			],
		}),
		[
			'spec.topologySpreadConstraints[0].minDomains: Invalid value: 0: must be greater than zero',
			'spec.topologySpreadConstraints[0].minDomains: Invalid value: 0: can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway',
			'spec.topologySpreadConstraints[0].nodeAffinityPolicy: Unsupported value: "Never": supported values: "Honor", "Ignore"',
			'spec.topologySpreadConstraints[0].nodeTaintsPolicy: Unsupported value: "Never": supported values: "Honor", "Ignore"',
			'spec.topologySpreadConstraints[0].matchLabelKeys[0]: Invalid value: "app": exists in both matchLabelKeys and labelSelector',
			'spec.topologySpreadConstraints[1].matchLabelKeys: Forbidden: must not be specified when labelSelector is not set',
		],
	],
	[
		'affinity to pods by keys that contradict, in a namespace that cannot be',
		pod({
			affinity: {
				podAntiAffinity: {
					requiredDuringSchedulingIgnoredDuringExecution: [
						{
							topologyKey: 'zone',
							labelSelector: {},
							matchLabelKeys: ['tenant'],
							mismatchLabelKeys: ['tenant'],
							namespaces: ['A'],
						},
					],
				},
			},
		}),
		[
			`spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].namespaces[0]: Invalid value: "A": ${label}`,
			'spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].matchLabelKeys[0]: Invalid value: "tenant": exists in both matchLabelKeys and mismatchLabelKeys',
		],
	],
	[
		'node affinity by another field than the name',
		pod({
			affinity: {
				nodeAffinity: {
					requiredDuringSchedulingIgnoredDuringExecution: {
						nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.uid', operator: 'Exists', values: [] }] }],
					},
				},
			},
		}),
		[
			'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchFields[0].operator: Invalid value: "Exists": not a valid selector operator',
			'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchFields[0].key: Invalid value: "metadata.uid": not a valid field selector key',
		],
	],
	[
		'DNS without servers',
		pod({ dnsPolicy: 'None' }),
		['spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None'],
	],
	[
		'a deadline of no time',
		pod({ activeDeadlineSeconds: 0 }),
		['spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive'],
	],

	// deployments and replica sets
	['a deployment without selector', deployment({ selector: undefined }), ['spec.selector: Required value']],
	[
		'a deployment without template',
		deployment({ template: undefined }),
		[
			'spec.template.metadata.labels: Invalid value: {}: `selector` does not match template `labels`',
			'spec.template.spec.containers: Required value',
			'spec.template: Required value',
		],
	],
	[
		'a selector that misses its own template',
		deployment({ selector: { matchLabels: { app: 'other' } } }),
		[
			'spec.template.metadata.labels: Invalid value: {"app":"guestbook","tier":"frontend"}: `selector` does not match template `labels`',
		],
	],
	[
		'an empty selector',
		deployment({ selector: { matchLabels: undefined } }),
		['spec.selector: Invalid value: {}: empty selector is invalid for deployment'],
	],
	[
		'a template that does not restart',
		deployment({ template: { spec: { restartPolicy: 'Never' } } }),
		['spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'],
	],
	[
		'less than no replicas',
		deployment({ replicas: -1 }),
		['spec.replicas: Invalid value: -1: must be greater than or equal to 0'],
	],
	[
		'a rolling update that may not move',
		deployment({ strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: '0%' } } }),
		['spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0'],
	],
	[
		'a rolling update while recreating',
		deployment({ strategy: { type: 'Recreate' } }),
		["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"],
	],
	[
		'a deadline before the pods can be ready',
		deployment({ minReadySeconds: 600 }),
		['spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds'],
	],

	// services
	[
		'external addresses that are another machine on each machine',
		service({ externalIPs: ['127.0.0.1', '0.0.0.0', '169.254.1.1', '::1', '203.0.113.1'] }),
		[
			'spec.externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)',
			'spec.externalIPs[1]: Invalid value: "0.0.0.0": may not be unspecified (0.0.0.0 or ::)',
			'spec.externalIPs[2]: Invalid value: "169.254.1.1": may not be in the link-local range (169.254.0.0/16, fe80::/10)',
			'spec.externalIPs[3]: Invalid value: "::1": may not be in the loopback range (127.0.0.0/8, ::1/128)',
		],
	],
	[
		'a distribution of traffic that nobody knows',
		service({ trafficDistribution: 'Nearest' }),
		[
			'spec.trafficDistribution: Unsupported value: "Nearest": supported values: "PreferClose", "PreferSameNode", "PreferSameZone"',
		],
	],
	['a service without ports', service({ ports: [] }), ['spec.ports: Required value']],
	[
		'a second port without name',
		service({ ports: [{ name: 'a', port: 1 }, { port: 2 }] }),
		['spec.ports[1].name: Required value'],
	],
	[
		'one port twice',
		service({
			ports: [
				{ name: 'a', port: 1 },
				{ name: 'b', port: 1 },
			],
		}),
		['spec.ports[1]: Duplicate value: {"protocol":"TCP","port":1}'],
	],
	[
		'a service port of zero',
		service({ ports: [{ name: 'a' }] }),
		['spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive'],
	],
	[
		'a node port of a ClusterIP service',
		service({ type: 'ClusterIP' }),
		["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
	],
	[
		'a headless service with node ports',
		service({ clusterIP: 'None' }),
		['spec.clusterIPs[0]: Invalid value: "None": may not be set to \'None\' for NodePort services'],
	],
	[
		'a service type that does not exist',
		changed(of('Service', 'headless'), { spec: { type: 'Magic' } }),
		[
			'spec.type: Unsupported value: "Magic": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"',
		],
	],
	[
		'a service name that starts with a digit',
		changed(of('Service', 'headless'), { metadata: { name: '1a' } }),
		[
			"metadata.name: Invalid value: \"1a\": a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
		],
	],
	[
		'an outside name without name',
		changed(of('Service', 'headless'), { spec: { type: 'ExternalName', clusterIP: undefined } }),
		['spec.externalName: Required value'],
	],

	// config maps and secrets
	[
		'a key that is a path',
		changed(of('ConfigMap'), { data: { 'a/b': 'c' } }),
		[
			"data[a/b]: Invalid value: \"a/b\": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
		],
	],
	[
		'one key as text and as bytes',
		changed(of('ConfigMap'), { binaryData: { greeting: 'AA==' } }),
		['data[greeting]: Invalid value: "greeting": duplicate of key present in binaryData'],
	],
	[
		'a config map of more than 1 MiB',
		changed(of('ConfigMap'), { data: { big: 'x'.repeat(1_048_577) } }),
		['data: Too long: may not be more than 1048576 bytes'],
	],
	[
		'a TLS secret without its pair',
		secret({ type: 'kubernetes.io/tls' }),
		['data[tls.crt]: Required value', 'data[tls.key]: Required value'],
	],
	[
		'registry credentials that are no JSON',
		secret({ type: 'kubernetes.io/dockerconfigjson', data: { '.dockerconfigjson': 'AAAA' } }),
		['data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": must be valid JSON'],
	],
	[
		'a login with neither name nor password',
		secret({ type: 'kubernetes.io/basic-auth' }),
		['data[username]: Required value', 'data[password]: Required value'],
	],
	[
		'a token of no account',
		secret({ type: 'kubernetes.io/service-account-token' }),
		['metadata.annotations[kubernetes.io/service-account.name]: Required value'],
	],

	// the others
	[
		'a taint without effect',
		changed(of('Node'), { spec: { taints: [{ key: 'a', effect: '' }] } }),
		['spec.taints[0].effect: Required value'],
	],
	[
		'one taint twice',
		changed(of('Node'), {
			spec: {
				taints: [
					{ key: 'a', effect: 'NoExecute' },
					{ key: 'a', effect: 'NoExecute' },
				],
			},
		}),
		['spec.taints[1].taint: Duplicate value: {"key":"a","effect":"NoExecute"}'],
	],
	[
		'a node with one range twice, written in two ways',
		changed(of('Node'), { spec: { podCIDR: '10.1.0.0/24', podCIDRs: ['10.1.0.0/24', '10.1.0.5/24'] } }),
		['spec.podCIDRs[1]: Duplicate value: "10.1.0.0/24"'],
	],
	[
		'an event about another namespace',
		changed(of('Event'), { involvedObject: { namespace: 'other' } }),
		['involvedObject.namespace: Invalid value: "other": does not match event.namespace'],
	],
	[
		'a lease of no time',
		changed(of('Lease'), { spec: { leaseDurationSeconds: 0 } }),
		['spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0'],
	],
	[
		'a slice with an address of another family',
		changed(of('EndpointSlice'), { addressType: 'IPv6' }),
		['endpoints[0].addresses[0]: Invalid value: "192.0.2.10": must be an IPv6 address'],
	],
	[
		'a slice with an address of the machine itself',
		changed(of('EndpointSlice'), { endpoints: [{ addresses: ['127.0.0.1'] }] }),
		['endpoints[0].addresses[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)'],
	],
	[
		'endpoints with an address of the machine itself',
		changed(of('Endpoints'), { subsets: [{ addresses: [{ ip: '127.0.0.1' }], ports: [{ port: 1 }] }] }),
		['subsets[0].addresses[0].ip: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)'],
	],
	[
		'endpoints without addresses',
		changed(of('Endpoints'), { subsets: [{ ports: [{ port: 1 }] }] }),
		['subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`'],
	],
	[
		'an application without project',
		changed(of('Application'), { spec: { project: undefined } }),
		['spec.project: Required value'],
	],
	[
		'an application without source',
		changed(of('Application'), { spec: { source: undefined } }),
		['spec.source: Required value: one of spec.source and spec.sources is required'],
	],
];

for (const [title, object, errors] of refused)
	test(`${title} is refused`, (t) => {
		t.deepEqual(admit(object).errors, errors);
	});

/** The stored object, what changes in it, and every line of the answer. */
const updates: [string, Dynamic, object, string[]][] = [
	[
		'the image of a pod',
		of('Pod'),
		{ spec: { containers: [{ ...container0('busybox:1.37'), imagePullPolicy: 'Always' }] } },
		[],
	],
	[
		'the command of a pod',
		of('Pod'),
		{ spec: { containers: [{ ...container0('busybox'), command: ['ls'] }] } },
		[
			'spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative); changed: spec.containers',
		],
	],
	[
		'an ephemeral container of a pod',
		of('Pod'),
		{ spec: { ephemeralContainers: [{ name: 'debug', image: 'x', terminationMessagePolicy: 'File' }] } },
		[
			'spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative); changed: spec.ephemeralContainers',
		],
	],
	['a further toleration of a pod', of('Pod'), { spec: { tolerations: [{ operator: 'Exists' }] } }, []],
	[
		'the number of containers of a pod',
		of('Pod'),
		{ spec: { containers: [container0('busybox'), { name: 'b', image: 'b' }] } },
		['spec.containers: Forbidden: pod updates may not add or remove containers'],
	],
	[
		'the selector of a deployment',
		of('Deployment'),
		{ spec: { selector: { matchLabels: { tier: undefined } } } },
		['spec.selector: Invalid value: {"matchLabels":{"app":"guestbook"}}: field is immutable'],
	],
	[
		'the replicas and the template of a deployment',
		of('Deployment'),
		{ spec: { replicas: 5, template: { spec: { nodeName: 'n1' } } } },
		[],
	],
	[
		'the address of a service',
		{ ...service({ clusterIP: '10.96.0.5', clusterIPs: ['10.96.0.5'] }) },
		{ spec: { clusterIP: '10.96.0.6' } },
		['spec.clusterIPs[0]: Invalid value: ["10.96.0.6"]: may not change once set'],
	],
	[
		'an immutable config map',
		{ ...of('ConfigMap'), immutable: true },
		{ data: { greeting: 'Bye' } },
		['data: Forbidden: field is immutable when `immutable` is set'],
	],
	[
		'the immutability of a config map',
		{ ...of('ConfigMap'), immutable: true },
		{ immutable: undefined },
		['immutable: Forbidden: field is immutable when `immutable` is set'],
	],
	[
		'the type of a secret',
		of('Secret'),
		{ type: 'example.com/other' },
		['type: Invalid value: "example.com/other": field is immutable'],
	],
	[
		'the name of an object',
		of('ConfigMap'),
		{ metadata: { name: 'other' } },
		['metadata.name: Invalid value: "other": field is immutable'],
	],
	[
		'the uid of an object',
		of('ConfigMap'),
		{ metadata: { uid: '2' } },
		['metadata.uid: Invalid value: "2": field is immutable'],
	],
	[
		'the finalizers of an object that is being deleted',
		changed(of('ConfigMap'), {
			metadata: { deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: ['example.com/a'] },
		}),
		{ metadata: { finalizers: ['example.com/a', 'example.com/b'] } },
		[
			'metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers ["example.com/b"]',
		],
	],
	[
		'the address type of a slice',
		of('EndpointSlice'),
		{ addressType: 'FQDN' },
		['addressType: Invalid value: "FQDN": field is immutable'],
	],
	[
		'the pod range of a node',
		of('Node'),
		{ spec: { podCIDR: '10.0.0.0/24', podCIDRs: ['10.0.0.0/24'] } },
		['spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid'],
	],
];

function container0(image: string) {
	return { ...(of('Pod').spec as { containers: object[] }).containers[0], image };
}

for (const [title, before, change, errors] of updates)
	test(`a change of ${title} is ${errors.length > 0 ? 'refused' : 'allowed'}`, (t) => {
		const stored = admit(before).object;
		stored.metadata.uid = '1';
		if (before.metadata.deletionTimestamp) stored.metadata.deletionTimestamp = before.metadata.deletionTimestamp;
		// A client sends what it has read, with its change.
		t.deepEqual(admit(changed(stored, change), stored).errors, errors);
	});
