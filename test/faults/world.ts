/** What the fault tests share: a platform, and a clone that pushes to it. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { type Platform, type PlatformOptions, type Result, startPlatform } from '../testbed/platform.ts';

export interface World extends Platform {
	/** The work tree. */
	readonly clone: string;
	/** Any git command in the clone. */
	git(...args: string[]): Promise<Result>;
	/** Writes files; undefined removes one. */
	write(files: Files): Promise<void>;
	/** Writes files, commits all there is, and pushes it to main. */
	push(files?: Files, ...args: string[]): Promise<Result>;
	/** `driftless status` until it is as wanted. */
	status(what: string, condition: (seen: Result) => boolean): Promise<Result>;
}

type Files = Readonly<Record<string, string | Uint8Array | undefined>>;

export async function startWorld(options: PlatformOptions = {}): Promise<World> {
	// A push is shown progress for a moment only: what does not converge is what these tests are about.
	const platform = await startPlatform({ ...options, args: ['--push-wait', '2s', ...(options.args ?? [])] });
	const clone = join(platform.folder, 'clone');
	const git = (...args: string[]) => platform.run('git', args, { cwd: clone });
	const write = async (files: Files) => {
		for (const [path, content] of Object.entries(files)) {
			const at = join(clone, path);
			await mkdir(dirname(at), { recursive: true });
			if (content === undefined) await rm(at, { recursive: true });
			else await writeFile(at, content);
		}
	};
	await mkdir(clone);
	await git('init', '--quiet', '--initial-branch=main');
	return {
		...platform,
		clone,
		git,
		write,
		async push(files = {}, ...args) {
			await write(files);
			await git('add', '--all');
			await git('commit', '--quiet', '--allow-empty', '--message', 'change');
			return git('push', ...args, (await platform.driftless('remote')).stdout.trim(), 'HEAD:main');
		},
		status: (what, condition) => platform.until(what, () => platform.driftless('status'), condition),
	};
}

export const configMap = (name: string, value = '1'): string =>
	`apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\ndata:\n  key: "${value}"\n`;

/** A pod that runs until it is told to end; `image` and `command` may be such that it does not. */
export const pod = (name: string, { image = 'driftless/example:1', command = 'sleep' } = {}): string =>
	`apiVersion: v1\nkind: Pod\nmetadata:\n  name: ${name}\nspec:\n  terminationGracePeriodSeconds: 1\n  containers:\n  - name: main\n    image: ${image}\n    command: [${command}, "1000000"]\n`;

/** How often a text occurs. */
export const times = (text: string, part: string): number => text.split(part).length - 1;

/** No line of a program's own inside in what a user reads. */
export const noStack = (text: string): boolean => !/^\s+at .*(:\d+:\d+|node:)/m.test(text);

/** The command has succeeded; where it has not, what it has printed is the message. */
export const succeeds = (t: ExecutionContext, { code, output }: Pick<Result, 'code' | 'output'>, what = ''): boolean =>
	t.is(code, 0, `${what}\n${output}`);

/** The command has failed. */
export const fails = (t: ExecutionContext, { code, output }: Pick<Result, 'code' | 'output'>): boolean =>
	t.not(code, 0, output);

export const inSync = ({ code }: Result): boolean => code === 0;
