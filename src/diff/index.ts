/** The door of diff/: desired against live, as a patch and field by field. */
export { type Drift, drift, type FieldDrift, type Owner } from './drift.ts';
export { differences, equal, type FieldDifference, indexesInto } from './fields.ts';
export { appliedBy, byHand, takenOver, withoutShares } from './ownership.ts';
