/** emptyDir: a directory that lives as long as its pod, on the disk or in memory. */
import { chmod, chown, lstat, mkdir, rename } from 'node:fs/promises';
import { quantity } from '../../../kinds/index.ts';
import { VolumeError } from '../error.ts';
import { canMount, mountsBelow, mountTmpfs } from '../mount.ts';
import type { VolumeType } from '../type.ts';

export const emptyDir: VolumeType<'emptyDir'> = {
	key: 'emptyDir',
	folder: 'empty-dir',
	async prepare({ path, source, pod: { group, signal } }) {
		// The set-group bit hands the group on to what is made inside.
		const mode = group === undefined ? 0o777 : 0o2777;
		if (source.medium === 'Memory') {
			if (!canMount()) throw new VolumeError('medium Memory needs root, which may mount');
			await mkdir(path, { recursive: true });
			if ((await mountsBelow(path)).length > 0) return;
			const size = source.sizeLimit ? quantity(source.sizeLimit) : undefined;
			await mountTmpfs(path, { size, mode, group }, signal);
			return;
		}
		// What its containers have made of it since stays.
		if (await lstat(path).catch(() => undefined)) return;
		// It appears whole: an agent that dies meanwhile must not leave one that nobody can write to. No volume's name has a dot.
		const fresh = `${path}.new`;
		await mkdir(fresh, { recursive: true });
		if (group !== undefined) await chown(fresh, -1, group);
		await chmod(fresh, mode);
		await rename(fresh, path);
	},
};
