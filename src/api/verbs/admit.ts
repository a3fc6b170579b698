/** Runs admission: each decider in turn may change or refuse what is about to be written. */
import type { KubeObject } from '../../kinds/object.ts';
import type { AdmissionRequest } from './admission.ts';
import { latest, placeOf, readStored } from './commit.ts';
import type { Context } from './context.ts';

/** Throws the refusal of the first that refuses. */
export async function admitAll(context: Context, request: Omit<AdmissionRequest, 'lookUp'>): Promise<void> {
	const whole: AdmissionRequest = { ...request, lookUp: (resource, name) => lookUp(context, resource, name) };
	for (const admit of context.admission) await admit(whole);
}

/** The newest state of an object of any kind; undefined where there is none, or the kind is not known. */
async function lookUp(
	context: Context,
	{ group, version, plural }: { readonly group: string; readonly version: string; readonly plural: string },
	name: { readonly namespace?: string; readonly name: string },
): Promise<KubeObject | undefined> {
	const kind = context.registry.resource(group, version, plural);
	const place = kind && placeOf(kind, name);
	// The cache may lag behind another server: what it lacks is looked up.
	return place && (latest(context, place) ?? (await readStored(context, place)))?.object;
}
