/**
 * A file that says a pod of this node: read, filled in and checked. Pure. Source: Kubernetes documentation, "Create static Pods", and the
 * kubelet's names and annotations.
 */
import { createHash } from 'node:crypto';
import { parseAllDocuments } from 'yaml';
import {
	apiReference,
	CONFIG_HASH_ANNOTATION,
	CONFIG_SEEN_ANNOTATION,
	CONFIG_SOURCE_ANNOTATION,
	Pod,
	timestamp,
} from '../../kinds/index.ts';

/** A file is one pod, and no more than this. */
export const MAX_BYTES = 1024 * 1024;

/** The pod of a file. Throws what is wrong with it, for a person to read. `now` in milliseconds since the epoch. */
export function readStaticPod(
	text: string,
	{ file, node, now }: { readonly file: string; readonly node: string; readonly now: number },
): Pod {
	if (Buffer.byteLength(text) > MAX_BYTES) throw new Error(`it is larger than ${MAX_BYTES} bytes`);
	const documents = parseAllDocuments(text);
	const [document, more] = Array.isArray(documents) ? documents : [];
	if (!document) throw new Error('it is empty');
	if (more) throw new Error('it has more than one document: each static pod has a file of its own');
	const [fault] = document.errors;
	if (fault) throw new Error(fault.message);
	const object: unknown = document.toJS({ maxAliasCount: 100 });
	if (!isRecord(object) || object.kind !== 'Pod' || object.apiVersion !== 'v1') throw new Error('it is no Pod of v1');
	const { metadata, spec } = object;
	if (!isRecord(metadata) || typeof metadata.name !== 'string' || !isRecord(spec))
		throw new Error('metadata.name or spec is missing');
	// The same text on another node, or in another file, is another pod.
	const hash = createHash('sha256')
		.update(JSON.stringify([text, file, node]))
		.digest('hex')
		.slice(0, 32);
	const annotations = isRecord(metadata.annotations) ? (metadata.annotations as Record<string, string>) : {};
	const pod: Pod = {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: {
			...(metadata as unknown as Pod['metadata']),
			name: `${metadata.name.toLowerCase()}-${node.toLowerCase()}`,
			namespace: typeof metadata.namespace === 'string' ? metadata.namespace : 'default',
			uid: hash,
			annotations: {
				...annotations,
				[CONFIG_SOURCE_ANNOTATION]: 'file',
				[CONFIG_HASH_ANNOTATION]: hash,
				[CONFIG_SEEN_ANNOTATION]: timestamp(now),
			},
		},
		// What is no spec is refused below.
		spec: structuredClone(spec) as unknown as Pod['spec'],
	};
	pod.spec.nodeName = node;
	// Nobody drives it away: its file says that it is here.
	pod.spec.tolerations = [...(pod.spec.tolerations ?? []), { effect: 'NoExecute', operator: 'Exists' }];
	pod.spec.automountServiceAccountToken = false;
	Pod.defaults(pod);
	const reference = apiReference(pod.spec);
	if (reference) throw new Error(`it refers to a ${reference}: a static pod may refer to no object of the API`);
	const [error] = Pod.validate({ ...pod, metadata: { ...pod.metadata, uid: undefined } }, undefined);
	if (error) throw new Error(`${error.field}: ${error.detail}`);
	return pod;
}

/** Whether a file of this node says the pod. The API makes uids itself, so none of its pods can look like one. */
export const isStatic = ({ metadata: { uid, annotations } }: Pod): boolean =>
	annotations?.[CONFIG_SOURCE_ANNOTATION] === 'file' && annotations[CONFIG_HASH_ANNOTATION] === uid;

const isRecord = (value: unknown): value is Record<string, unknown> =>
	typeof value === 'object' && value !== null && !Array.isArray(value);
