/**
 * The label that tells the pods of one template from those of another. Source: Kubernetes documentation, "Deployments",
 * section "Pod-template-hash label".
 */
import type { PodTemplateSpec } from 'kubernetes-types/core/v1.js';
import { sameJson } from '../runtime/equality.ts';

export const POD_TEMPLATE_HASH = 'pod-template-hash';

/** One character a decimal digit: those of which the hashes of Kubernetes consist, which spell no words. */
const SAFE_ALPHABET = '456789bcdf';

/**
 * A short name for a template: the same for the same content in any order of fields, another when `collisionCount` (of the
 * Deployment's status) was raised because two templates had one.
 */
export function podTemplateHash(template: PodTemplateSpec, collisionCount = 0): string {
	const text = canonical(withoutHash(template)) + (collisionCount > 0 ? `#${collisionCount}` : '');
	return Array.from(String(fnv1a(text)), (digit) => SAFE_ALPHABET[Number(digit)]).join('');
}

/** Whether two templates make the same pods: the hash label does not count. */
export function sameTemplate(a: PodTemplateSpec | undefined, b: PodTemplateSpec | undefined): boolean {
	return sameJson(a && withoutHash(a), b && withoutHash(b));
}

function withoutHash(template: PodTemplateSpec): PodTemplateSpec {
	const { labels, ...metadata } = template.metadata ?? {};
	const { [POD_TEMPLATE_HASH]: _, ...others } = labels ?? {};
	return { ...template, metadata: { ...metadata, labels: Object.keys(others).length > 0 ? others : undefined } };
}

/** JSON with sorted fields and nothing undefined. */
function canonical(value: unknown): string {
	if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
	if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
	const fields = Object.entries(value).filter(([, inner]) => inner !== undefined);
	fields.sort(([a], [b]) => (a < b ? -1 : 1));
	return `{${fields.map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`).join(',')}}`;
}

/** 32-bit FNV-1a of the text's UTF-8 bytes. */
export function fnv1a(text: string): number {
	let hash = 0x811c9dc5;
	for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
	return hash;
}
