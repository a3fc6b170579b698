import test from 'ava';
import { story } from './story.ts';

test('a push becomes running containers, drift is shown and healed, and a crash loses nothing, on etcd', (t) => {
	t.timeout(600_000);
	return story(t, 'etcd');
});
