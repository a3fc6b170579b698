/**
 * Orders versions by preference: v2 before v1 before v1beta2 before v1beta1 before v1alpha1 before all other names.
 * Source: Kubernetes documentation, "Versions in CustomResourceDefinitions", version priority.
 */
export function compareVersions(a: string, b: string): number {
	const [x, y] = [rankOf(a), rankOf(b)];
	for (const [i, rank] of x.entries()) {
		const other = y[i] ?? 0;
		if (rank !== other) return other - rank;
	}
	return a < b ? -1 : a > b ? 1 : 0;
}

function rankOf(version: string): number[] {
	const match = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version);
	if (!match) return [0, 0, 0];
	const stability = match[2] === 'alpha' ? 1 : match[2] === 'beta' ? 2 : 3;
	return [stability, Number(match[1]), Number(match[3] ?? 0)];
}
