/**
 * Priority: a pod is as urgent as its class says. A class that is not there is refused; pods without one have the default class,
 * where there is one. Source: Kubernetes documentation, "Pod Priority and Preemption".
 */
import { PriorityClass, SYSTEM_PRIORITY_CLASSES } from '../../kinds/scheduling/priority-class.ts';
import { forbidden } from '../../kinds/status.ts';
import { isObject } from '../json.ts';
import type { AdmissionPlugin, AdmissionRequest } from './admission.ts';

/** Of a pod without a class. */
const NO_CLASS = { name: '', value: 0, preemptionPolicy: 'PreemptLowerPriority' };
type Urgency = typeof NO_CLASS;

const isPod = ({ kind, subresource }: AdmissionRequest) =>
	subresource === undefined && kind.group === '' && kind.plural === 'pods';
const isClass = ({ kind }: AdmissionRequest) =>
	kind.group === PriorityClass.group && kind.plural === PriorityClass.plural;

export const priority: AdmissionPlugin = {
	name: 'Priority',
	handles: (request) =>
		(request.operation === 'CREATE' && isPod(request)) || (request.operation !== 'CONNECT' && isClass(request)),
	async mutate(request) {
		const spec = request.object?.spec;
		if (!isPod(request) || !isObject(spec)) return 'nothing';
		const name = spec.priorityClassName;
		const given = typeof name === 'string' && name !== '' ? await named(name, request) : defaultOf(request);
		const refuse = (why: string) => forbidden(request.kind, request.name, why);
		if (!given) throw refuse(`no PriorityClass with name ${name} was found`);
		const { value, preemptionPolicy } = given;
		// Nobody gives himself what only a class gives.
		if (typeof spec.priority === 'number' && spec.priority !== value)
			throw refuse(
				`the integer value of priority (${spec.priority}) must not be provided in pod spec; priority admission controller computed ${value} from the given PriorityClass name`,
			);
		if (typeof spec.preemptionPolicy === 'string' && spec.preemptionPolicy !== preemptionPolicy)
			throw refuse(
				`the string value of PreemptionPolicy (${spec.preemptionPolicy}) must not be provided in pod spec; priority admission controller computed ${preemptionPolicy} from the given PriorityClass name`,
			);
		if (given.name) spec.priorityClassName = given.name;
		spec.priority = value;
		spec.preemptionPolicy = preemptionPolicy;
		return 'filled';
	},
	validate(request) {
		const { object, name, kind, operation } = request;
		if (operation === 'DELETE' && isClass(request) && SYSTEM_PRIORITY_CLASSES.some((each) => each.name === name))
			throw forbidden(kind, name, 'this is a system priority class and cannot be deleted');
		if (!isClass(request) || object?.globalDefault !== true) return;
		const other = defaults(request).find(({ metadata }) => metadata.name !== name);
		if (other)
			throw forbidden(
				kind,
				name,
				`PriorityClass ${other.metadata.name} is already marked as default. Only one default can exist`,
			);
	},
};

/** Those of the system are known before anybody has made them. */
async function named(name: string, { lookUp }: AdmissionRequest): Promise<Urgency | undefined> {
	const system = SYSTEM_PRIORITY_CLASSES.find((each) => each.name === name);
	if (system) return { ...NO_CLASS, ...system };
	const found = (await lookUp(PriorityClass, { name })) as PriorityClass | undefined;
	return found && urgencyOf(found);
}

/** Where several are, as two servers may make at once, the least urgent: nobody becomes urgent by mistake. */
function defaultOf(request: AdmissionRequest): Urgency {
	const [first] = defaults(request).sort((a, b) => a.value - b.value);
	return first ? urgencyOf(first) : NO_CLASS;
}

const defaults = ({ list }: AdmissionRequest) =>
	(list(PriorityClass) as readonly PriorityClass[]).filter(({ globalDefault }) => globalDefault === true);

const urgencyOf = ({ metadata: { name }, value, preemptionPolicy }: PriorityClass): Urgency => ({
	name,
	value,
	preemptionPolicy: preemptionPolicy ?? NO_CLASS.preemptionPolicy,
});
