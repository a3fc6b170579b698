import type * as node from 'kubernetes-types/node/v1.js';
import { checkQuantities } from '../checks.ts';
import { validateTolerations } from '../core/scheduling-validation.ts';
import { age, column, kind } from '../declare.ts';
import type { Kind } from '../kind.ts';
import { atomic, atomicMap } from '../merges.ts';
import { validateLabels } from '../metadata.ts';
import { dnsLabel } from '../names.ts';
import type { Persisted } from '../object.ts';
import { type FieldError, fieldError } from '../status.ts';

export type RuntimeClass = Persisted<node.RuntimeClass>;

/** Source: Kubernetes API reference, "RuntimeClass". */
export const RuntimeClass: Kind<RuntimeClass> = kind<RuntimeClass>({
	group: 'node.k8s.io',
	version: 'v1',
	kind: 'RuntimeClass',
	plural: 'runtimeclasses',
	singular: 'runtimeclass',
	schema: 'io.k8s.api.node.v1.RuntimeClass',
	merges: { 'io.k8s.api.node.v1.Scheduling': { nodeSelector: atomicMap, tolerations: atomic } },
	namespaced: false,
	columns: [column('Handler', 'string', 'The runtime of the engine.', ({ handler }) => handler ?? ''), age],
	defaults({ scheduling }) {
		for (const toleration of scheduling?.tolerations ?? []) toleration.operator ||= 'Equal';
	},
	validate({ handler = '', overhead, scheduling }, old) {
		const errors: FieldError[] = [];
		for (const wrong of dnsLabel(handler)) errors.push(fieldError.invalid('handler', handler, wrong));
		if (old && old.handler !== handler) errors.push(fieldError.invalid('handler', handler, 'field is immutable'));
		checkQuantities(overhead?.podFixed, 'overhead.podFixed', errors);
		validateLabels(scheduling?.nodeSelector, 'scheduling.nodeSelector', errors);
		validateTolerations(scheduling?.tolerations, 'scheduling.tolerations', errors);
		return errors;
	},
});
