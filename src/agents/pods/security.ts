/** What a container may do: its security context over its pod's. Source: Kubernetes API reference, "SecurityContext". */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type * as core from 'kubernetes-types/core/v1.js';
import type { Pod } from '../../kinds/index.ts';
import type { Confinement, Image } from '../engine/index.ts';
import { ConfigError } from './environment.ts';
import { podTitle } from './names.ts';

/** Container's settings override the pod's only where they are set. */
export function securityOf(pod: Pod, container: core.Container): core.SecurityContext {
	const own = Object.entries(container.securityContext ?? {}).filter(
		([, value]) => value !== undefined && value !== null,
	);
	return { ...pod.spec.securityContext, ...Object.fromEntries(own) } as core.SecurityContext;
}

/** Who the image runs as where nothing else is said: a name or a number. */
const imageUser = ({ user }: Image) => user.split(':')[0] || '0';

/** `USER` or `USER:GROUP`; undefined where the image decides. A group alone leaves the user to the image. */
export function userOf({ runAsUser, runAsGroup }: core.SecurityContext, image: Image): string | undefined {
	if (runAsGroup === undefined) return runAsUser === undefined ? undefined : String(runAsUser);
	return `${runAsUser ?? imageUser(image)}:${runAsGroup}`;
}

/** runAsNonRoot is a promise that the agent keeps before it starts anything. Throws ConfigError. */
export function checkUser(pod: Pod, container: core.Container, security: core.SecurityContext, image: Image): void {
	if (!security.runAsNonRoot) return;
	const whose = `(pod: "${podTitle(pod)}", container: ${container.name})`;
	if (security.runAsUser !== undefined) {
		if (security.runAsUser === 0) throw new ConfigError(`container's runAsUser breaks non-root policy ${whose}`);
		return;
	}
	const name = imageUser(image);
	if (name === 'root' || Number(name) === 0) {
		throw new ConfigError(`container has runAsNonRoot and image will run as root ${whose}`);
	}
	if (!/^\d+$/.test(name)) {
		throw new ConfigError(
			`container has runAsNonRoot and image has non-numeric user (${name}), cannot verify user is non-root ${whose}`,
		);
	}
}

/** What confines a container; a seccomp profile of the machine is read from `DATA/seccomp`. Throws ConfigError. */
export async function confinementOf(dataDir: string, security: core.SecurityContext): Promise<Confinement> {
	const { allowPrivilegeEscalation, seccompProfile: seccomp, appArmorProfile: appArmor } = security;
	return {
		noNewPrivileges: allowPrivilegeEscalation === false,
		...(seccomp?.type === 'Unconfined' ? { seccomp: 'unconfined' } : {}),
		...(seccomp?.type === 'Localhost' ? { seccomp: { profile: await profile(dataDir, seccomp) } } : {}),
		...(appArmor?.type === 'Unconfined' ? { appArmor: 'unconfined' } : {}),
		...(appArmor?.type === 'Localhost' ? { appArmor: { name: appArmor.localhostProfile ?? '' } } : {}),
	};
}

async function profile(dataDir: string, { localhostProfile = '' }: core.SeccompProfile): Promise<string> {
	const path = join(dataDir, 'seccomp', localhostProfile);
	try {
		return JSON.stringify(JSON.parse(await readFile(path, 'utf8')));
	} catch (error) {
		throw new ConfigError(`cannot load seccomp profile "${path}": ${(error as Error).message}`);
	}
}
