/** How benchmarks sum up and print what they measured. */

export const median = (numbers: readonly number[]): number =>
	[...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;

/** Prints one figure behind its name, in a column. */
export const line = (name: string, figure: string): void => console.log(`${name.padEnd(56)} ${figure}`);
