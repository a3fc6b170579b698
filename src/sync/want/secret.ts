/**
 * The texts of a Secret as its data. `stringData` is for writing only: the API moves it into `data` after it has noted who
 * applied what, so that nobody would own the keys, and one that leaves the manifest would stay for ever.
 * Source: Kubernetes API reference, "Secret".
 */
import type { Dynamic, Kind } from '../../kinds/index.ts';
import type { Manifest } from '../render/index.ts';

/** The manifest with its texts in `data`; the same one where it has none, or where the API is to say what is wrong with them. */
export function decodedSecret(manifest: Manifest, kind: Kind): Manifest {
	const { stringData, ...object } = manifest.object;
	if (kind.group !== '' || kind.kind !== 'Secret' || !isTexts(stringData) || !isMap(object.data)) return manifest;
	const data: Record<string, unknown> = { ...object.data };
	// A key without a value is none.
	for (const [key, text] of Object.entries(stringData))
		if (text !== null) data[key] = Buffer.from(text, 'utf8').toString('base64');
	return {
		...manifest,
		object: { ...object, data } as Dynamic,
		locate: (path) => {
			const [field, key, ...rest] = path;
			const isText = field === 'data' && key !== undefined && Object.hasOwn(stringData, key);
			return manifest.locate(isText ? ['stringData', key, ...rest] : path);
		},
	};
}

const isMap = (value: unknown): value is Readonly<Record<string, unknown>> | undefined | null =>
	value === undefined || value === null || (typeof value === 'object' && !Array.isArray(value));

const isTexts = (value: unknown): value is Readonly<Record<string, string | null>> =>
	isMap(value) && value != null && Object.values(value).every((text) => text === null || typeof text === 'string');
