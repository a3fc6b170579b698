/** Durations and ages as kubectl prints them. Source: apimachinery's documented human-readable durations. */

/** `5s`, `5m30s`, `3h12m`, `2d3h`, `1y40d`: one or two units, coarser with age. `milliseconds` may be slightly negative (clocks differ). */
export function humanDuration(milliseconds: number): string {
	const seconds = Math.trunc(milliseconds / 1000);
	if (seconds < -1) return '<invalid>';
	if (seconds <= 0) return '0s';
	if (seconds < 120) return `${seconds}s`;
	const minutes = Math.floor(seconds / 60);
	if (minutes < 10) return two(minutes, 'm', seconds % 60, 's');
	if (minutes < 180) return `${minutes}m`;
	const hours = Math.floor(minutes / 60);
	if (hours < 8) return two(hours, 'h', minutes % 60, 'm');
	if (hours < 48) return `${hours}h`;
	const days = Math.floor(hours / 24);
	if (days < 8) return two(days, 'd', hours % 24, 'h');
	if (days < 2 * 365) return `${days}d`;
	const years = Math.floor(days / 365);
	return years < 8 ? two(years, 'y', days % 365, 'd') : `${years}y`;
}

/** How long ago a timestamp is, at `now` (milliseconds since the epoch); `<unknown>` without one. */
export function ageOf(timestamp: string | null | undefined, now: number): string {
	const then = timestamp ? Date.parse(timestamp) : Number.NaN;
	return Number.isNaN(then) ? '<unknown>' : humanDuration(now - then);
}

function two(large: number, largeUnit: string, small: number, smallUnit: string): string {
	return small === 0 ? `${large}${largeUnit}` : `${large}${largeUnit}${small}${smallUnit}`;
}
