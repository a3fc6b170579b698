/** Logs go to standard error: as lines for people, or as JSON for machines. */
import { type Logger, pino } from 'pino';
import { paintFor, type Style, tame } from '../terminal.ts';

export interface LogOptions {
	readonly level: 'debug' | 'info' | 'warn' | 'error';
	readonly format: 'text' | 'json';
}

const names: Readonly<Record<number, readonly [string, Style]>> = {
	20: ['debug', 'dim'],
	30: ['info', 'cyan'],
	40: ['warning', 'yellow'],
	50: ['error', 'red'],
};

export function createLog({ level, format }: LogOptions): Logger {
	if (format === 'json')
		return pino({ level, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ dest: 2, sync: true }));
	const paint = paintFor(process.stderr);
	return pino(
		{ level, base: null },
		{
			write(line: string) {
				const {
					level: number,
					time,
					msg,
					...fields
				} = JSON.parse(line) as { level: number; time: number; msg: string } & Record<string, unknown>;
				const [name, style] = names[number] ?? ['log', 'dim'];
				const rest = Object.entries(fields).map(
					([key, value]) =>
						`${key}=${typeof value === 'string' && !/\s/.test(value) ? tame(value) : tame(JSON.stringify(value))}`,
				);
				process.stderr.write(
					`${paint('dim', new Date(time).toTimeString().slice(0, 8))} ${paint(style, name)} ${msg}${rest.length > 0 ? paint('dim', ` ${rest.join(' ')}`) : ''}\n`,
				);
			},
		},
	);
}
