/** The provisioners that are a part of driftless. */
import { LOCAL_PROVISIONER } from '../../kinds/index.ts';

export const OWN_PROVISIONERS: ReadonlySet<string> = new Set([LOCAL_PROVISIONER]);
