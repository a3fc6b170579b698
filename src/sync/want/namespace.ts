/**
 * The namespace of an application's destination as one of its objects, where its labels and annotations are managed: so they are
 * compared, healed and taken away like those of others. Source: Argo CD, "Sync Options", Namespace Metadata. Pure.
 */
import { createHash } from 'node:crypto';
import type { Application, Dynamic } from '../../kinds/index.ts';
import type { Manifest } from '../render/index.ts';
import { compareAnnotation, optionOf, optionsAnnotation } from './options.ts';

/** Where it is written, instead of a file. */
export const inApplication = 'spec.syncPolicy.managedNamespaceMetadata';

/** It outlives its application, and also the wish to manage it. */
const stays = { [optionsAnnotation]: 'Prune=false,Delete=false', [compareAnnotation]: 'IgnoreExtraneous' };

/** Undefined where nothing is managed, or where a manifest describes the namespace. */
export function managedNamespace({ spec }: Application, manifests: readonly Manifest[]): Manifest | undefined {
	const { managedNamespaceMetadata: managed, syncOptions } = spec.syncPolicy ?? {};
	const { namespace: name } = spec.destination;
	if (!name || !managed || optionOf('CreateNamespace', syncOptions) !== 'true') return undefined;
	const isIt = ({ object }: Manifest) => object.kind === 'Namespace' && object.metadata.name === name;
	if (manifests.some(isIt)) return undefined;
	const { labels, annotations } = managed;
	const object: Dynamic = Object.freeze({
		apiVersion: 'v1',
		kind: 'Namespace',
		metadata: { name, ...(labels ? { labels } : {}), annotations: { ...annotations, ...stays } },
	});
	const position = { file: inApplication, line: 1, column: 1 };
	const hash = createHash('sha256').update(JSON.stringify(object)).digest('hex');
	return { object, hash, file: inApplication, position, locate: () => position };
}
