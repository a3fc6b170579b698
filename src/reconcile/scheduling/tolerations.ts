/** What bears a taint. Source: Kubernetes documentation, "Taints and Tolerations". */
import type { Taint, Toleration } from 'kubernetes-types/core/v1.js';

/** Whether the toleration bears the taint: an empty key with Exists bears every key, an empty effect every effect. */
export function tolerates({ key, operator = 'Equal', value = '', effect }: Toleration, taint: Taint): boolean {
	if (effect && effect !== taint.effect) return false;
	if (!key) return operator === 'Exists';
	return key === taint.key && (operator === 'Exists' || value === (taint.value ?? ''));
}

/** The first taint of these effects that no toleration bears. */
export function untolerated(
	taints: readonly Taint[] | undefined,
	tolerations: readonly Toleration[] | undefined,
	effects: readonly Taint['effect'][],
): Taint | undefined {
	return taints?.find(
		(taint) => effects.includes(taint.effect) && !tolerations?.some((toleration) => tolerates(toleration, taint)),
	);
}
