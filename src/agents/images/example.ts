/**
 * The example image: a small Linux user land from Debian's statically linked busybox, for trying things out and for
 * tests without a registry. httpd, wget, nc, sh and the other applets are in its /bin.
 */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { Engine } from '../engine/index.ts';
import { type TarEntry, tar } from '../engine/tar.ts';

export const EXAMPLE_IMAGE = 'driftless/example:1';

const BUSYBOX = '/bin/busybox';

/**
 * Imports the image where the engine does not have it.
 *
 * @returns whether the engine has the image now; false where busybox (package busybox-static) is not installed.
 */
export async function ensureExampleImage(engine: Engine, signal?: AbortSignal): Promise<boolean> {
	if (await engine.images.inspect(EXAMPLE_IMAGE)) return true;
	const busybox = await readFile(BUSYBOX).catch((error: NodeJS.ErrnoException) => {
		if (error.code === 'ENOENT') return undefined;
		throw error;
	});
	// Only a static program runs in an image that holds nothing else: a dynamic one names its interpreter.
	if (!busybox || busybox.includes('/lib64/ld-linux') || busybox.includes('/lib/ld-linux')) return false;
	const { stdout } = await promisify(execFile)(BUSYBOX, ['--list']);
	const applets = stdout.split('\n').filter((applet) => applet && applet !== 'busybox');
	await engine.images.load(
		EXAMPLE_IMAGE,
		tar(exampleFiles(busybox, applets)),
		{ command: ['/bin/sh'], env: { PATH: '/bin' }, workingDir: '/' },
		signal,
	);
	return true;
}

function exampleFiles(busybox: Uint8Array, applets: readonly string[]): TarEntry[] {
	const directory = (path: string, mode = 0o755): TarEntry => ({ type: 'directory', path, mode });
	const file = (path: string, content: string): TarEntry => ({
		type: 'file',
		path,
		content: Buffer.from(content),
		mode: 0o644,
	});
	return [
		...['bin/', 'etc/', 'root/', 'var/', 'www/', 'usr/', 'home/'].map((path) => directory(path)),
		directory('tmp/', 0o1777),
		{ type: 'symlink', path: 'usr/bin', target: '../bin' },
		{ type: 'file', path: 'bin/busybox', content: busybox, mode: 0o755 },
		...applets.map((applet): TarEntry => ({ type: 'symlink', path: `bin/${applet}`, target: 'busybox' })),
		file('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/sh\n'),
		file('etc/group', 'root:x:0:\nnogroup:x:65534:\n'),
		file('etc/nsswitch.conf', 'hosts: files dns\n'),
		file('www/index.html', 'driftless\n'),
	];
}
