/** One line that changes in place, for those who wait at a terminal. Others see nothing of it. */

/** How often the line is drawn, in ms. */
const DRAW_MS = 500;

export interface Progress extends Disposable {
	/** What is being waited for, from now on. */
	set(text: string): void;
}

/** Draws on `stream` (standard error: standard output is for results), and wipes the line at the end. */
export function startProgress(stream: NodeJS.WriteStream): Progress {
	if (!stream.isTTY || process.env.TERM === 'dumb') return { set: () => {}, [Symbol.dispose]: () => {} };
	const started = Date.now();
	let text = '';
	let drawn = false;
	const timer = setInterval(() => {
		const seconds = Math.round((Date.now() - started) / 1000);
		const line = `${text} (${seconds}s)`;
		stream.write(`\r\u001b[K${line.slice(0, Math.max(1, (stream.columns || 80) - 1))}`);
		drawn = true;
	}, DRAW_MS);
	const wipe = () => {
		clearInterval(timer);
		process.off('SIGINT', interrupted);
		if (drawn) stream.write('\r\u001b[K');
	};
	// The prompt of the shell comes next, on a line of its own.
	const interrupted = () => {
		wipe();
		process.kill(process.pid, 'SIGINT');
	};
	process.on('SIGINT', interrupted);
	return {
		set(now) {
			text = now;
		},
		[Symbol.dispose]: wipe,
	};
}
