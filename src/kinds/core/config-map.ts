import type * as core from 'kubernetes-types/core/v1.js';
import { age, column, kind } from '../declare.ts';
import type { Kind } from '../kind.ts';
import type { Persisted } from '../object.ts';
import { type FieldError, fieldError } from '../status.ts';
import { DATA_MAX, decodedLength, validateImmutable, validateKeys } from './key-values.ts';

export type ConfigMap = Persisted<core.ConfigMap>;

/** Source: Kubernetes API reference, "ConfigMap". */
export const ConfigMap: Kind<ConfigMap> = kind<ConfigMap>({
	group: '',
	version: 'v1',
	kind: 'ConfigMap',
	plural: 'configmaps',
	schema: 'io.k8s.api.core.v1.ConfigMap',
	shortNames: ['cm'],
	columns: [
		column('Data', 'integer', 'How many entries there are.', ({ data, binaryData }) => {
			return Object.keys(data ?? {}).length + Object.keys(binaryData ?? {}).length;
		}),
		age,
	],
	validate(configMap, old) {
		const errors: FieldError[] = [];
		const { data = {}, binaryData = {} } = configMap;
		validateKeys(data, 'data', errors);
		validateKeys(binaryData, 'binaryData', errors);
		for (const key of Object.keys(binaryData))
			if (Object.hasOwn(data, key))
				errors.push(fieldError.invalid(`data[${key}]`, key, 'duplicate of key present in binaryData'));
		let size = 0;
		for (const value of Object.values(data)) size += Buffer.byteLength(value);
		for (const value of Object.values(binaryData)) size += decodedLength(value);
		if (size > DATA_MAX) errors.push(fieldError.tooLong('data', DATA_MAX));
		validateImmutable(configMap, old, ['data', 'binaryData'], errors);
		return errors;
	},
});
