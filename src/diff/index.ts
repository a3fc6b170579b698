/** The door of diff/: desired against live, as a patch and field by field. */
export { equalJson } from '../api/patch/index.ts';
export { type Drift, drift, type FieldDrift, type Owner } from './drift.ts';
export { differences, type FieldDifference, indexesInto } from './fields.ts';
export { appliedBy, byHand, ownershipOf, takenOver, withoutShares } from './ownership.ts';
