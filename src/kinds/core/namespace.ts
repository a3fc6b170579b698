import type * as core from 'kubernetes-types/core/v1.js';
import { age, column, kind } from '../declare.ts';
import type { Kind } from '../kind.ts';
import { atomic, conditions } from '../merges.ts';
import { dnsLabel, qualifiedName } from '../names.ts';
import type { Persisted } from '../object.ts';
import { type FieldError, fieldError } from '../status.ts';

export type Namespace = Persisted<core.Namespace>;

/** The finalizer that holds a namespace until its content is gone. */
const FINALIZER = 'kubernetes';
/** The label by which selectors find a namespace by name. */
const NAME_LABEL = 'kubernetes.io/metadata.name';

/** Source: Kubernetes API reference, "Namespace". */
export const Namespace: Kind<Namespace> = kind<Namespace>({
	group: '',
	version: 'v1',
	kind: 'Namespace',
	plural: 'namespaces',
	schema: 'io.k8s.api.core.v1.Namespace',
	merges: {
		'io.k8s.api.core.v1.NamespaceSpec': { finalizers: atomic },
		'io.k8s.api.core.v1.NamespaceStatus': conditions,
	},
	shortNames: ['ns'],
	namespaced: false,
	names: dnsLabel,
	subresources: { status: true, actions: ['finalize'] },
	// A request that takes every namespace at once would be too easy to send by mistake: Kubernetes has none either.
	deleteCollection: false,
	selectableFields: { 'status.phase': (namespace) => namespace.status?.phase ?? '' },
	columns: [column('Status', 'string', 'The phase of the namespace.', ({ status }) => status?.phase ?? ''), age],
	defaults(namespace) {
		const { metadata } = namespace;
		if (metadata.name) metadata.labels = { ...metadata.labels, [NAME_LABEL]: metadata.name };
	},
	prepare(namespace, old) {
		namespace.spec ??= {};
		if (old) {
			// The finalizers of the spec are changed by the finalize subresource alone.
			namespace.spec.finalizers = old.spec?.finalizers;
			return;
		}
		const finalizers = namespace.spec.finalizers ?? [];
		namespace.spec.finalizers = finalizers.includes(FINALIZER) ? finalizers : [...finalizers, FINALIZER];
		Object.assign(namespace, { status: { phase: 'Active' } });
	},
	// It stays until its content is gone.
	holds: (namespace) => (namespace.spec?.finalizers?.length ?? 0) > 0,
	onDelete(namespace) {
		namespace.status = { ...namespace.status, phase: 'Terminating' };
	},
	validate(namespace) {
		const errors: FieldError[] = [];
		for (const finalizer of namespace.spec?.finalizers ?? []) {
			for (const wrong of qualifiedName(finalizer))
				errors.push(fieldError.invalid('spec.finalizers', finalizer, wrong));
			if (!finalizer.includes('/') && finalizer !== FINALIZER)
				errors.push(
					fieldError.invalid(
						'spec.finalizers',
						finalizer,
						'name is neither a standard finalizer name nor is it fully qualified',
					),
				);
		}
		return errors;
	},
});
