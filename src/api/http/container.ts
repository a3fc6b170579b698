/** Which container of a pod a stream is for, and whether it has what is asked for. Pure; the messages are Kubernetes'. */

import type { Pod } from '../../kinds/core/pod.ts';
import { badRequest } from '../../kinds/status.ts';

/** The named container, or the only one. Throws 400 with the choices where there is no such one. */
export function containerOf(pod: Pod, wanted: string | undefined): string {
	const { name } = pod.metadata;
	const names = pod.spec.containers.map((container) => container.name);
	const inits = (pod.spec.initContainers ?? []).map((container) => container.name);
	const ephemeral = (pod.spec.ephemeralContainers ?? []).map((container) => container.name);
	if (wanted) {
		if (names.includes(wanted) || inits.includes(wanted) || ephemeral.includes(wanted)) return wanted;
		throw badRequest(`container ${wanted} is not valid for pod ${name}`);
	}
	const [only] = names;
	if (names.length === 1 && only !== undefined) return only;
	const choices = [`choose one of: [${names.join(' ')}]`];
	if (inits.length > 0) choices.push(`or one of the init containers: [${inits.join(' ')}]`);
	if (ephemeral.length > 0) choices.push(`or one of the ephemeral containers: [${ephemeral.join(' ')}]`);
	throw badRequest(
		names.length === 0
			? `a container name must be specified for pod ${name}`
			: `a container name must be specified for pod ${name}, ${choices.join(' ')}`,
	);
}

/** Throws 400 where a container has written nothing yet that could be shown, with the reason for which it waits. */
export function checkHasLog(pod: Pod, container: string, previous: boolean): void {
	const { name } = pod.metadata;
	const { status } = pod;
	const about = `container ${JSON.stringify(container)} in pod ${JSON.stringify(name)}`;
	const found = [
		...(status?.containerStatuses ?? []),
		...(status?.initContainerStatuses ?? []),
		...(status?.ephemeralContainerStatuses ?? []),
	].find((each) => each.name === container);
	if (!found) {
		if (previous) throw badRequest(`previous terminated ${about} not found`);
		throw badRequest(`${about} is waiting to start: ContainerCreating`);
	}
	const { state, lastState } = found;
	if (previous) {
		if (!lastState?.terminated) throw badRequest(`previous terminated ${about} not found`);
		return;
	}
	if (state?.running || state?.terminated || lastState?.terminated) return;
	switch (state?.waiting?.reason) {
		case 'ErrImagePull':
			throw badRequest(`${about} is waiting to start: image can't be pulled`);
		case 'ImagePullBackOff':
			throw badRequest(`${about} is waiting to start: trying and failing to pull image`);
		case undefined:
			throw badRequest(`${about} is waiting to start - no logs yet`);
		default:
			throw badRequest(`${about} is waiting to start: ${state?.waiting?.reason}`);
	}
}
