/** downwardAPI: what a pod may know of itself as files, which follow it. */
import { downwardFiles, writePayload } from '../payload.ts';
import type { VolumeContext, VolumeType } from '../type.ts';

const write = (context: VolumeContext<'downwardAPI'>) =>
	writePayload(context, downwardFiles(context.pod, context.source.items, context.source.defaultMode));

export const downwardApi: VolumeType<'downwardAPI'> = {
	key: 'downwardAPI',
	folder: 'downward-api',
	readOnly: true,
	prepare: write,
	update: write,
};
