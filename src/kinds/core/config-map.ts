import { kind } from '../declare.ts';
import type { Kind } from '../kind.ts';
import type * as types from '../types.ts';

export type ConfigMap = types.ConfigMap;

export const ConfigMap: Kind<ConfigMap> = kind<ConfigMap>({
	group: '',
	version: 'v1',
	kind: 'ConfigMap',
	plural: 'configmaps',
	schema: 'io.k8s.api.core.v1.ConfigMap',
	shortNames: ['cm'],
});
