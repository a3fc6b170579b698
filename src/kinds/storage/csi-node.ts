import type * as storage from 'kubernetes-types/storage/v1.js';
import { checkName, checkNonNegative, checkUnique } from '../checks.ts';
import { age, column, kind } from '../declare.ts';
import type { Kind } from '../kind.ts';
import { atomic, merge } from '../merges.ts';
import { qualifiedName } from '../names.ts';
import type { Persisted } from '../object.ts';
import { type FieldError, fieldError } from '../status.ts';
import { csiDriverName } from './csi-names.ts';

export type CSINode = Persisted<storage.CSINode>;

/** The longest name that a driver may give to a node, in bytes. Source: the Container Storage Interface, "NodeGetInfo". */
const MAX_NODE_ID_BYTES = 256;

/** Source: Kubernetes API reference, "CSINode". */
export const CSINode: Kind<CSINode> = kind<CSINode>({
	group: 'storage.k8s.io',
	version: 'v1',
	kind: 'CSINode',
	plural: 'csinodes',
	schema: 'io.k8s.api.storage.v1.CSINode',
	merges: {
		'io.k8s.api.storage.v1.CSINodeSpec': { drivers: merge('name') },
		'io.k8s.api.storage.v1.CSINodeDriver': { topologyKeys: atomic },
	},
	namespaced: false,
	returnsDeleted: true,
	columns: [
		column('Drivers', 'integer', 'How many drivers the node has.', ({ spec }) => spec.drivers?.length ?? 0),
		age,
	],
	validate({ spec }) {
		const errors: FieldError[] = [];
		const seen = new Set<string>();
		for (const [index, driver] of (spec?.drivers ?? []).entries()) {
			const at = `spec.drivers[${index}]`;
			checkName(driver.name, `${at}.name`, csiDriverName, errors, 'required');
			checkUnique(driver.name, `${at}.name`, seen, errors);
			if (!driver.nodeID) errors.push(fieldError.required(`${at}.nodeID`));
			else if (Buffer.byteLength(driver.nodeID) > MAX_NODE_ID_BYTES)
				errors.push(fieldError.invalid(`${at}.nodeID`, driver.nodeID, `must be ${MAX_NODE_ID_BYTES} bytes or less`));
			checkNonNegative(driver.allocatable?.count, `${at}.allocatable.count`, errors);
			const keys = new Set<string>();
			for (const key of driver.topologyKeys ?? []) {
				for (const wrong of qualifiedName(key)) errors.push(fieldError.invalid(at, key, wrong));
				checkUnique(key, `${at}.topologyKeys`, keys, errors);
			}
		}
		return errors;
	},
});
