import test from 'ava';
import { semantics } from './suite.ts';

semantics(test, async () => undefined);
