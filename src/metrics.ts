/**
 * Figures that a process tells of itself, as plain data, and Prometheus' text form of them.
 * Source: Prometheus documentation, "Exposition formats".
 */

/** The media type of the text form. */
export const TEXT_FORMAT = 'text/plain; version=0.0.4; charset=utf-8';

/** One name with its figures, each under labels (`verb="get",code="200"`, or none). */
export interface Family {
	readonly name: string;
	readonly help: string;
	readonly type: 'counter' | 'gauge' | 'histogram';
	readonly samples: Iterable<readonly [labels: string, value: number | Histogram]>;
}

export interface Histogram {
	/** Upper bounds, ascending. */
	readonly bounds: readonly number[];
	/** How many lie in each bound and not in the one before. */
	readonly counts: number[];
	count: number;
	sum: number;
	observe(value: number): void;
}

export function createHistogram(bounds: readonly number[]): Histogram {
	return {
		bounds,
		counts: bounds.map(() => 0),
		count: 0,
		sum: 0,
		observe(value) {
			this.count++;
			this.sum += value;
			const at = bounds.findIndex((bound) => value <= bound);
			if (at >= 0) this.counts[at] = (this.counts[at] ?? 0) + 1;
		},
	};
}

/** Labels in the text form. */
export const labelled = (labels: Readonly<Record<string, string>>): string =>
	Object.entries(labels)
		.map(([name, value]) => `${name}="${value.replace(/[\\\n"]/g, (each) => (each === '\n' ? '\\n' : `\\${each}`))}"`)
		.join(',');

/** The text form; a family without figures is left out. */
export function exposition(families: Iterable<Family>): string {
	const lines: string[] = [];
	for (const { name, help, type, samples } of families) {
		const figures = [...samples];
		if (figures.length === 0) continue;
		lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
		for (const [labels, value] of figures) {
			if (typeof value === 'number') lines.push(`${line(name, labels)} ${value}`);
			else lines.push(...histogramLines(name, labels, value));
		}
	}
	return `${lines.join('\n')}\n`;
}

const line = (name: string, labels: string) => (labels ? `${name}{${labels}}` : name);

function* histogramLines(name: string, labels: string, { bounds, counts, count, sum }: Histogram): Iterable<string> {
	const before = labels ? `${labels},` : '';
	let below = 0;
	for (const [at, bound] of bounds.entries()) {
		below += counts[at] ?? 0;
		yield `${name}_bucket{${before}le="${bound}"} ${below}`;
	}
	yield `${name}_bucket{${before}le="+Inf"} ${count}`;
	yield `${line(`${name}_sum`, labels)} ${sum}`;
	yield `${line(`${name}_count`, labels)} ${count}`;
}
