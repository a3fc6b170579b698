/** The door of sync/render. */
export type { FieldPath, Manifest, Position, Rendered, Renderer, RenderOptions, RenderProblem } from './render.ts';
export { formatPosition, formatProblem } from './render.ts';
export { createRenderer } from './renderer.ts';
export { parseField, problemAt, type ValidateOptions, validateBroken, validateManifest } from './validate.ts';
