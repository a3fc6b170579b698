/** configMap: the entries of a config map as files, which follow it. */
import { configMapFiles, writePayload } from '../payload.ts';
import type { VolumeContext, VolumeType } from '../type.ts';

const write = (context: VolumeContext<'configMap'>) =>
	writePayload(context, configMapFiles(context.pod, context.source, context.source.defaultMode));

export const configMap: VolumeType<'configMap'> = {
	key: 'configMap',
	folder: 'configmap',
	readOnly: true,
	prepare: write,
	update: write,
	references: ({ name }) => ({ configMaps: name ? [name] : [], secrets: [] }),
};
