/** A series of what objects are, as kube-state-metrics names it: a table entry, from an object to its samples. */
import type { Kind, KubeObject } from '../../kinds/index.ts';
import { quantity } from '../../kinds/index.ts';

export type Labels = Readonly<Record<string, string>>;
export type Sample = readonly [labels: Labels, value: number];

export interface Series<T extends KubeObject = KubeObject> {
	readonly name: string;
	readonly help: string;
	readonly type: 'gauge' | 'counter';
	/** Declared as a method, so that a series of pods can stand where one of any kind is asked for. */
	samples(object: T): Iterable<Sample>;
}

export interface Observed {
	readonly kind: Kind;
	readonly series: readonly Series[];
}

/** The series of a kind, each with the labels that name the object. */
export function observed<T extends KubeObject>(
	kind: Kind<T>,
	series: readonly Series<T>[],
	labelsOf: (object: T) => Labels = namedAs(kind.singular),
): Observed {
	const whole = series.map(({ samples, ...rest }) => ({
		...rest,
		*samples(object: T) {
			const own = labelsOf(object);
			for (const [labels, value] of samples(object))
				if (!Number.isNaN(value)) yield [{ ...own, ...labels }, value] as const;
		},
	}));
	return { kind: kind as unknown as Kind, series: whole as unknown as readonly Series[] };
}

/** `{ namespace, pod }`: a label with the name of the kind. */
const namedAs =
	(label: string) =>
	({ metadata: { namespace, name } }: KubeObject): Labels =>
		namespace === undefined ? { [label]: name } : { namespace, [label]: name };

/** One figure of an object; none where it is undefined. */
export const figure = <T extends KubeObject>(
	name: string,
	help: string,
	of: (object: T) => number | boolean | undefined,
	type: Series['type'] = 'gauge',
): Series<T> => ({
	name,
	help,
	type,
	*samples(object) {
		const value = of(object);
		if (value !== undefined) yield [{}, Number(value)];
	},
});

/** A series that is 1, for its labels. */
export const info = <T extends KubeObject>(
	name: string,
	help: string,
	of: (object: T) => Readonly<Record<string, string | undefined>>,
): Series<T> => ({
	name,
	help,
	type: 'gauge',
	*samples(object) {
		yield [texts(of(object)), 1];
	},
});

/** Any number of samples of an object. */
export const several = <T extends KubeObject>(
	name: string,
	help: string,
	samples: (object: T) => Iterable<Sample>,
	type: Series['type'] = 'gauge',
): Series<T> => ({ name, help, type, samples });

/** 1 for the value that holds, 0 for the others: `phase="Running"`. */
export function* oneOf(label: string, values: readonly string[], holds: string | undefined): Iterable<Sample> {
	for (const value of values) yield [{ [label]: value }, Number(value === holds)];
}

interface ConditionLike {
	readonly type: string;
	readonly status: string;
}

/** Each condition, with 1 for its status and 0 for the other two. */
export function* conditions(all: readonly ConditionLike[] | undefined): Iterable<Sample> {
	for (const { type, status } of all ?? [])
		for (const [labels, value] of oneOf('status', ['true', 'false', 'unknown'], status.toLowerCase()))
			yield [{ condition: type, ...labels }, value];
}

/** Amounts by `resource` and `unit`, as kube-state-metrics calls them. */
export function* resources(list: Readonly<Record<string, string>> | undefined, more: Labels = {}): Iterable<Sample> {
	for (const [name, value] of Object.entries(list ?? {})) {
		const bytes = name === 'memory' || name.endsWith('storage') || name.startsWith('hugepages-');
		const unit = name === 'cpu' ? 'core' : bytes ? 'byte' : 'integer';
		yield [{ ...more, resource: name.replaceAll(/[^a-zA-Z0-9_]/g, '_'), unit }, quantity(value)];
	}
}

/** What is not known is empty, as kube-state-metrics has it. */
export const texts = (labels: Readonly<Record<string, string | undefined>>): Labels =>
	Object.fromEntries(Object.entries(labels).map(([name, value]) => [name, value ?? '']));

/** Seconds since the epoch. */
export const seconds = (time: string | undefined): number | undefined =>
	time === undefined ? undefined : Math.floor(Date.parse(time) / 1000);

export const created = <T extends KubeObject>(prefix: string): Series<T> =>
	figure(`${prefix}_created`, 'When it was made, in seconds since the epoch.', ({ metadata }) =>
		seconds(metadata.creationTimestamp),
	);

/** The generations of the object, and of what its controller has seen. */
export const generations = <T extends KubeObject & { status?: { observedGeneration?: number } }>(
	prefix: string,
): readonly Series<T>[] => [
	figure(`${prefix}_metadata_generation`, 'The generation of what is wanted.', ({ metadata }) => metadata.generation),
	figure(
		`${prefix}_status_observed_generation`,
		'The generation that its controller has seen.',
		({ status }) => status?.observedGeneration,
	),
];

export const owner = <T extends KubeObject>(name: string): Series<T> =>
	several(name, 'Who owns it.', function* ({ metadata }) {
		const owners = metadata.ownerReferences ?? [];
		for (const each of owners)
			yield [
				{ owner_kind: each.kind, owner_name: each.name, owner_is_controller: String(each.controller ?? false) },
				1,
			];
		if (owners.length === 0) yield [{ owner_kind: '', owner_name: '', owner_is_controller: '' }, 1];
	});
