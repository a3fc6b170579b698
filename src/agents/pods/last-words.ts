/** What a container leaves when it ends: its termination message. Source: Kubernetes API reference, Container. */
import { open } from 'node:fs/promises';
import type { Pod } from '../../kinds/index.ts';
import { type Container, collect, type Engine } from '../engine/index.ts';
import { podFiles } from './files.ts';
import { members } from './outlook.ts';

const MAX_BYTES = 4096;
/** Of the log, where the container has left nothing and asks for that. */
const LOG_LINES = 80;
const LOG_BYTES = 2048;

/** The message of an ended container. `pod` where it is known: its policy says whether the log may stand in. */
export async function lastWords(
	engine: Engine,
	dataDir: string,
	container: Container,
	pod: Pod | undefined,
): Promise<string | undefined> {
	const { id, name, attempt, tty } = container;
	const text = await firstBytes(podFiles(dataDir, container.pod.uid).terminationMessage(name, attempt));
	if (text || container.exitCode === 0) return text;
	const spec = pod && members(pod).find((member) => member.container.name === name)?.container;
	if (spec?.terminationMessagePolicy !== 'FallbackToLogsOnError') return undefined;
	const log = await engine.containers.logs(id, { follow: false, tail: LOG_LINES, timestamps: false, tty });
	const tail = await collect(log, MAX_BYTES * LOG_LINES);
	return tail.slice(-LOG_BYTES) || undefined;
}

async function firstBytes(path: string): Promise<string | undefined> {
	try {
		await using file = await open(path, 'r');
		const { buffer, bytesRead } = await file.read(Buffer.alloc(MAX_BYTES), 0, MAX_BYTES, 0);
		return buffer.toString('utf8', 0, bytesRead) || undefined;
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
		throw error;
	}
}
