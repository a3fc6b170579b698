/** The door of static pods: those that files of the node say. */
export { followStaticFiles, type StaticFiles } from './files.ts';
export { type MirrorPods, mirrored, mirrorPods } from './mirror.ts';
export { isStatic } from './read.ts';
