/** The door of patch/: the four kinds of patch, ownership of fields, and the scale subresource, as pure functions. */
export { type Applied, type ApplyInput, serverSideApply } from './apply.ts';
export { equalJson } from './equal.ts';
export { applyJsonPatch } from './json.ts';
export { applyMergePatch } from './merge.ts';
export { readScale, type Scale, writeScale } from './scale.ts';
export { applyStrategicMergePatch } from './strategic.ts';
export { trackUpdate, type UpdateInput } from './track.ts';
export { undeclared } from './untyped.ts';
export type { Versions } from './versions.ts';
