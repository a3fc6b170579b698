/** hostPath: what lies on the machine already. Source: Kubernetes documentation, "Volumes", hostPath. */
import type { Stats } from 'node:fs';
import { mkdir, stat, writeFile } from 'node:fs/promises';
import { VolumeError } from '../error.ts';
import type { VolumeType } from '../type.ts';

interface Sort {
	readonly name: string;
	fits(found: Stats): boolean;
}

const directory: Sort = { name: 'directory', fits: (found) => found.isDirectory() };
const file: Sort = { name: 'file', fits: (found) => found.isFile() };
const sorts: Readonly<Record<string, Sort>> = {
	Directory: directory,
	DirectoryOrCreate: directory,
	File: file,
	FileOrCreate: file,
	Socket: { name: 'socket file', fits: (found) => found.isSocket() },
	CharDevice: { name: 'character device', fits: (found) => found.isCharacterDevice() },
	BlockDevice: { name: 'block device', fits: (found) => found.isBlockDevice() },
};

export const hostPath: VolumeType<'hostPath'> = {
	key: 'hostPath',
	folder: 'host-path',
	path: ({ path }) => path,
	async prepare({ path, source: { type = '' } }) {
		let found = await stat(path).catch(() => undefined);
		if (!found && (type === 'DirectoryOrCreate' || type === '')) {
			await mkdir(path, { recursive: true, mode: 0o755 });
			found = await stat(path);
		} else if (!found && type === 'FileOrCreate') {
			await writeFile(path, '', { flag: 'a', mode: 0o644 });
			found = await stat(path);
		}
		if (type === '') return;
		const wanted = sorts[type];
		if (!found || !wanted?.fits(found)) {
			throw new VolumeError(`hostPath type check failed: ${path} is not a ${wanted?.name ?? type}`);
		}
	},
};
