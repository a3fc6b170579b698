/** The door of the figures: what runs uses, and what the machine has left. */
export { createDiskMeter, type DiskMeter, type DiskUse, diskUse } from './disk.ts';
export { createFigures, type FigureReader, podGroup } from './figures.ts';
export type { Interface } from './interfaces.ts';
export { type FileSystem, type MachineFigures, readFileSystem, readMachine } from './machine.ts';
export type { Details, Figures } from './read-group.ts';
