import test from 'ava';
import { drawControllers, withPicture } from '../../scripts/draw-controllers.ts';
import { ConfigMap, Lease, Node } from '../../src/kinds/index.ts';
import { controller, watch } from '../../src/reconcile/index.ts';

const reconcile = () => Promise.resolve(undefined);

test('the picture of the controllers shows what each declares', (t) => {
	const picture = drawControllers([
		controller({ name: 'lease-keeper', for: Lease, owns: [ConfigMap], watches: [watch(Node, () => [])], reconcile }),
		controller({ name: 'all', everything: () => [], reconcile }),
	]);
	for (const line of [
		'Lease ==>|for| c_lease_keeper',
		'ConfigMap -->|owns| c_lease_keeper',
		'Node -.->|watches| c_lease_keeper',
		'every[/every kind/] -.->|watches| c_all',
	]) {
		t.true(picture.includes(`  ${line}\n`), line);
	}
});

test('a document gets the picture between its markers and keeps the rest', (t) => {
	const first = withPicture('# Title\n', 'one');
	t.true(first.startsWith('# Title\n'));
	const second = withPicture(`${first}\nMore.\n`, 'two');
	t.true(second.includes('two') && !second.includes('one') && second.endsWith('\nMore.\n'));
	t.is(withPicture(second, 'two'), second);
});
