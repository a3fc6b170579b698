/** The door of csi/: what the platform does for storage drivers that have nobody else for it. */
import type { Controller } from '../runtime/controller.ts';
import { csiAttacher } from './attacher.ts';
import { csiProvisioner } from './provisioner.ts';
import { csiReclaimer } from './reclaimer.ts';
import { csiResizer } from './resizer.ts';
import type { DriverCalls } from './served.ts';

export type { DriverCalls } from './served.ts';

/** @param calls - reaches drivers by the agents of their nodes. */
export const driverControllers = (calls: DriverCalls): Controller[] => [
	csiProvisioner(calls),
	csiReclaimer(calls),
	csiAttacher(calls),
	csiResizer(calls),
];
