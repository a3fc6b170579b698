/** secret: the entries of a secret as files in memory, which follow it. */
import { secretFiles, writePayload } from '../payload.ts';
import type { VolumeContext, VolumeType } from '../type.ts';

const write = (context: VolumeContext<'secret'>) => {
	const { secretName: name, items, optional, defaultMode } = context.source;
	return writePayload(context, secretFiles(context.pod, { name, items, optional }, defaultMode), true);
};

export const secret: VolumeType<'secret'> = {
	key: 'secret',
	folder: 'secret',
	readOnly: true,
	prepare: write,
	update: write,
	references: ({ secretName }) => ({ configMaps: [], secrets: secretName ? [secretName] : [] }),
};
