/** What form of an answer a client accepts. Source: Kubernetes API concepts, "Alternate representations", and RFC 9110. */
import { ApiError } from '../../kinds/status.ts';

export interface Form {
	readonly media: 'json' | 'yaml';
	/** Another representation of the objects; absent: as they are. */
	readonly as?: 'Table' | 'PartialObjectMetadata' | 'PartialObjectMetadataList' | 'APIGroupDiscoveryList';
	/** The version of that representation. */
	readonly version?: string;
}

/** What is asked for, and so which representations there are of it. */
export type Subject = 'object' | 'discovery' | 'other';

const plain: Form = { media: 'json' };
const representations: Readonly<Record<Subject, Readonly<Record<string, readonly string[]>>>> = {
	object: {
		Table: ['v1', 'v1beta1'],
		PartialObjectMetadata: ['v1', 'v1beta1'],
		PartialObjectMetadataList: ['v1', 'v1beta1'],
	},
	discovery: { APIGroupDiscoveryList: ['v2', 'v2beta1'] },
	other: {},
};

/** Accept headers seen, parsed; clients send a handful of them. */
const known: Readonly<Record<Subject, Map<string, Form | 'none'>>> = {
	object: new Map(),
	discovery: new Map(),
	other: new Map(),
};
const mostKnown = 256;

/** The first form that can be served. Throws 406 where there is none. */
export function negotiate(accept: string | undefined, subject: Subject): Form {
	if (accept === undefined || accept === '' || accept === '*/*' || accept === 'application/json') return plain;
	const parsed = known[subject];
	let form = parsed.get(accept);
	if (form === undefined) {
		form = parse(accept, representations[subject]) ?? 'none';
		if (parsed.size >= mostKnown) parsed.clear();
		parsed.set(accept, form);
	}
	if (form === 'none')
		throw new ApiError(
			406,
			'NotAcceptable',
			'only the following media types are accepted: application/json, application/yaml',
		);
	return form;
}

function parse(accept: string, known: (typeof representations)[Subject]): Form | undefined {
	const ranges = accept
		.split(',')
		.map((range) => {
			const [type = '', ...parameters] = range.split(';').map((part) => part.trim());
			const values = new Map(parameters.map((part) => part.split('=', 2) as [string, string | undefined]));
			return { type: type.toLowerCase(), values, quality: Number(values.get('q') ?? 1) };
		})
		.filter(({ quality }) => quality > 0)
		// Stable: of equal quality the first one counts.
		.sort((a, b) => b.quality - a.quality);
	for (const { type, values } of ranges) {
		const as = values.get('as');
		const version = values.get('v');
		if (type === 'application/yaml' && !as) return { media: 'yaml' };
		if (type !== 'application/json' && type !== '*/*' && type !== 'application/*') continue;
		if (!as) return plain;
		if (known[as]?.includes(version ?? '')) return { media: 'json', as: as as NonNullable<Form['as']>, version };
	}
	return undefined;
}
