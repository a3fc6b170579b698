/** emptyDir: a directory that lives as long as its pod, on the disk or in memory. */
import { chmod, chown, lstat, mkdir } from 'node:fs/promises';
import { quantity } from '../../../kinds/index.ts';
import { VolumeError } from '../error.ts';
import { canMount, mountsBelow, mountTmpfs } from '../mount.ts';
import type { VolumeType } from '../type.ts';

export const emptyDir: VolumeType<'emptyDir'> = {
	key: 'emptyDir',
	folder: 'empty-dir',
	async prepare({ path, source, pod: { group, signal } }) {
		const fresh = !(await lstat(path).catch(() => undefined));
		await mkdir(path, { recursive: true });
		const memory = source.medium === 'Memory';
		if (memory && !canMount()) throw new VolumeError('medium Memory needs root, which may mount');
		const mount = memory && (await mountsBelow(path)).length === 0;
		if (mount) {
			const size = source.sizeLimit ? quantity(source.sizeLimit) : 0;
			await mountTmpfs(path, { size, mode: 0o777 }, signal);
		}
		// What its containers have made of it since stays.
		if (!fresh && !mount) return;
		if (group !== undefined) await chown(path, -1, group);
		// The set-group bit hands the group on to what is made inside.
		await chmod(path, group === undefined ? 0o777 : 0o2777);
	},
};
