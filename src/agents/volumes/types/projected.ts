/** projected: several sources of files in one folder. */
import type * as core from 'kubernetes-types/core/v1.js';
import type { PayloadFile } from '../atomic.ts';
import { VolumeError } from '../error.ts';
import { configMapFiles, downwardFiles, secretFiles, writePayload } from '../payload.ts';
import type { PodView, VolumeContext, VolumeType } from '../type.ts';

async function write(context: VolumeContext<'projected'>): Promise<void> {
	const { sources = [], defaultMode } = context.source;
	const files = new Map<string, PayloadFile>();
	// Of one path the last source counts.
	for (const source of sources) {
		for (const [path, file] of filesOf(context.pod, source, defaultMode)) files.set(path, file);
	}
	const secret = sources.some((source) => source.secret);
	await writePayload(context, files, secret);
}

function filesOf(pod: PodView, source: core.VolumeProjection, mode: number | undefined) {
	if (source.configMap) return configMapFiles(pod, source.configMap, mode);
	if (source.secret) return secretFiles(pod, source.secret, mode);
	if (source.downwardAPI) return downwardFiles(pod, source.downwardAPI.items, mode);
	const kind = Object.keys(source)[0] ?? 'an empty source';
	throw new VolumeError(`projected volumes of ${kind} are not supported: use configMap, secret or downwardAPI`);
}

export const projected: VolumeType<'projected'> = {
	key: 'projected',
	folder: 'projected',
	readOnly: true,
	prepare: write,
	update: write,
	references: ({ sources = [] }) => ({
		configMaps: sources.flatMap(({ configMap }) => configMap?.name ?? []),
		secrets: sources.flatMap(({ secret }) => secret?.name ?? []),
	}),
};
