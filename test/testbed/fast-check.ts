/**
 * Property tests draw the same cases in each run, so that what fails is there to be looked at. DRIFTLESS_TEST_SEED draws others:
 * `npm run storms:properties` does, without end.
 */
import fc from 'fast-check';

fc.configureGlobal({ seed: Number(process.env.DRIFTLESS_TEST_SEED ?? 1) });

export default fc;
