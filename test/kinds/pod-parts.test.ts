/** What of a pod is written under subresources of its own: ephemeral containers, and resources. */
import test from 'ava';
import type { Container, EphemeralContainer } from 'kubernetes-types/core/v1.js';
import { Pod } from '../../src/kinds/index.ts';

const made = (spec: object, annotations?: Record<string, string>): Pod => {
	const pod = {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: { name: 'p', namespace: 'n', uid: 'u', annotations },
		spec: { containers: [{ name: 'main', image: 'i' }], ...spec },
	} as Pod;
	Pod.defaults(pod);
	return pod;
};
/** The messages about a write of `next` over `old` under a subresource. */
const write = (subresource: string, old: Pod, next: Pod): readonly string[] => {
	const object = structuredClone(old);
	Pod.subresources.parts?.[subresource]?.take(object, next);
	Pod.defaults(object);
	return Pod.validate(object, old, subresource).map(({ field, detail }) => `${field}: ${detail}`.trim());
};

const debug = (rest: Partial<EphemeralContainer> = {}) => ({ name: 'debug', image: 'i', ...rest });
const ephemeral: readonly (readonly [title: string, before: object[], after: object[], said: readonly string[]])[] = [
	['one is added', [], [debug()], []],
	['with the processes of a container', [], [debug({ targetContainerName: 'main' })], []],
	[
		'with those of a container that is none',
		[],
		[debug({ targetContainerName: 'none' })],
		['spec.ephemeralContainers[0].targetContainerName: Not found: "none"'],
	],
	['another one beside it', [debug()], [debug(), debug({ name: 'more' })], []],
	[
		'one is taken away',
		[debug()],
		[],
		['spec.ephemeralContainers: Forbidden: existing ephemeral containers "debug" may not be removed'],
	],
	[
		'one is changed',
		[debug()],
		[debug({ image: 'other' })],
		['spec.ephemeralContainers: Forbidden: existing ephemeral containers "debug" may not be changed'],
	],
	[
		'a name that is taken',
		[],
		[debug({ name: 'main' })],
		['spec.ephemeralContainers[0].name: Duplicate value: "main"'],
	],
	[
		'what it may not have',
		[],
		[
			debug({
				ports: [{ containerPort: 80 }],
				resources: { limits: { cpu: '1' } },
				livenessProbe: { exec: { command: ['x'] } },
			}),
		],
		[
			'spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container',
			'spec.ephemeralContainers[0].livenessProbe: Forbidden: cannot be set for an Ephemeral Container',
			'spec.ephemeralContainers[0].resources: Forbidden: cannot be set for an Ephemeral Container',
		],
	],
];
for (const [title, before, after, said] of ephemeral)
	test(`ephemeral containers: ${title}`, (t) => {
		const found = write(
			'ephemeralcontainers',
			made({ ephemeralContainers: before }),
			made({ ephemeralContainers: after }),
		);
		t.deepEqual(found, said);
	});

test('under a subresource nothing else of the pod is written, and elsewhere not what belongs there', (t) => {
	const old = made({});
	const next = made({
		nodeName: 'elsewhere',
		ephemeralContainers: [debug()],
		containers: [{ name: 'main', image: 'other' }],
	});
	const object = structuredClone(old);
	Pod.subresources.parts?.ephemeralcontainers?.take(object, next);
	t.deepEqual({ ...object.spec, ephemeralContainers: undefined }, { ...old.spec, ephemeralContainers: undefined });
	t.is(object.spec.ephemeralContainers?.length, 1);
	const other = made({ ephemeralContainers: [debug()] });
	t.regex(
		Pod.validate(other, old)
			.map(({ detail }) => detail)
			.join(),
		/may not change fields other than/,
	);
	const larger = made({ containers: [{ name: 'main', image: 'i', resources: { limits: { cpu: '2' } } }] });
	t.regex(
		Pod.validate(larger, old)
			.map(({ detail }) => detail)
			.join(),
		/may not change fields other than/,
	);
});

test('a pod that a file says has neither', (t) => {
	const old = made({}, { 'kubernetes.io/config.mirror': 'abc' });
	t.deepEqual(write('ephemeralcontainers', old, made({ ephemeralContainers: [debug()] })), [
		': Forbidden: static pods do not support ephemeral containers',
	]);
	t.deepEqual(write('resize', old, made({})), [': Forbidden: static pods cannot be resized']);
});

const main = (requests?: Record<string, string>, limits?: Record<string, string>, rest: Partial<Container> = {}) => ({
	containers: [{ name: 'main', image: 'i', resources: { requests, limits }, ...rest }],
});
const restart = { resizePolicy: [{ resourceName: 'memory', restartPolicy: 'RestartContainer' }] };
const resources = 'spec.containers[0].resources';
const resizes: readonly (readonly [title: string, before: object, after: object, said: readonly string[]])[] = [
	['more and less of both', main({ cpu: '1', memory: '1Gi' }), main({ cpu: '2', memory: '512Mi' }), []],
	['a limit that grows', main({ cpu: '1' }, { memory: '1Gi' }), main({ cpu: '1' }, { memory: '2Gi' }), []],
	[
		'a limit of memory that shrinks under a running program',
		main({ memory: '1Mi' }, { memory: '1Gi' }),
		main({ memory: '1Mi' }, { memory: '512Mi' }),
		[`${resources}.limits: Forbidden: memory limits cannot be decreased unless resizePolicy is RestartContainer`],
	],
	[
		'with a restart it may',
		main({ memory: '1Mi' }, { memory: '1Gi' }, restart),
		main({ memory: '1Mi' }, { memory: '512Mi' }, restart),
		[],
	],
	[
		'a request that goes',
		main({ cpu: '1', memory: '1Gi' }),
		main({ cpu: '1' }),
		[`${resources}.requests: Forbidden: resource requests cannot be removed`],
	],
	[
		'another class of quality',
		main({ cpu: '1', memory: '1Gi' }),
		main({ cpu: '1', memory: '1Gi' }, { cpu: '1', memory: '1Gi' }),
		['spec: Invalid value: "Guaranteed": Pod QOS Class may not change as a result of resizing'],
	],
	[
		'another resource',
		main({ cpu: '1', 'ephemeral-storage': '1Gi' }),
		main({ cpu: '1', 'ephemeral-storage': '2Gi' }),
		[`${resources}.requests: Forbidden: only cpu and memory resources are mutable`],
	],
	[
		'more than its limit',
		main({ cpu: '1' }, { cpu: '1' }),
		main({ cpu: '2' }, { cpu: '1' }),
		[`${resources}.requests: Invalid value: "2": must be less than or equal to cpu limit of 1`],
	],
];
for (const [title, before, after, said] of resizes)
	test(`a resize: ${title}`, (t) => {
		t.deepEqual(write('resize', made(before), made(after)), said);
	});

test('a policy of resizing is known, and restarts nothing that is never restarted', (t) => {
	const check = (spec: object) => Pod.validate(made(spec), undefined).map(({ field, detail }) => `${field}: ${detail}`);
	const policy = (resourceName: string, restartPolicy: string) => ({
		containers: [{ name: 'main', image: 'i', resizePolicy: [{ resourceName, restartPolicy }] }],
	});
	const at = 'spec.containers[0].resizePolicy[0]';
	t.deepEqual(check(policy('cpu', 'NotRequired')), []);
	t.deepEqual(check(policy('disk', 'NotRequired')), [
		`${at}.resourceName: Unsupported value: "disk": supported values: "cpu", "memory"`,
	]);
	t.deepEqual(check({ ...policy('memory', 'RestartContainer'), restartPolicy: 'Never' }), [
		`${at}: Invalid value: "RestartContainer": must be NotRequired because pod.spec.restartPolicy is Never`,
	]);
});

test('resources of the pod as a whole: filled in from its containers, at least what they ask', (t) => {
	const filled = made({
		resources: { limits: { cpu: '2', memory: '1Gi' } },
		containers: [
			{ name: 'a', image: 'i', resources: { requests: { cpu: '250m' } } },
			{ name: 'b', image: 'i', resources: { requests: { cpu: '0.5' } } },
		],
	});
	t.deepEqual((filled.spec as { resources?: object }).resources, {
		limits: { cpu: '2', memory: '1Gi' },
		requests: { cpu: '750m', memory: '1Gi' },
	});
	t.deepEqual(Pod.validate(filled, undefined), []);
	const check = (spec: object) => Pod.validate(made(spec), undefined).map(({ field, detail }) => `${field}: ${detail}`);
	t.deepEqual(check({ resources: { requests: { cpu: '100m' } }, ...main({ cpu: '1' }) }), [
		'spec.resources.requests[cpu]: Invalid value: "100m": must be greater than or equal to aggregate container requests of 1',
	]);
	t.true(
		check({ resources: { limits: { memory: '1Mi' } }, ...main({ memory: '1' }, { memory: '2Mi' }) }).includes(
			'spec.containers[0].resources.limits[memory]: Invalid value: "2Mi": must be less than or equal to pod limits of 1Mi',
		),
	);
	t.deepEqual(check({ resources: { requests: { 'ephemeral-storage': '1' } } }), [
		'spec.resources.requests.ephemeral-storage: Unsupported value: "ephemeral-storage": supported values: "cpu", "hugepages-", "memory"',
	]);
});
