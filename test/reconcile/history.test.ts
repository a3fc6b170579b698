/** Revisions of StatefulSets and DaemonSets: the decisions alone. */
import test from 'ava';
import { type ControllerRevision, StatefulSet } from '../../src/kinds/index.ts';
import { newRevision, nextRevision, superfluousRevisions, templateOf } from '../../src/reconcile/workloads/history.ts';
import { template } from './workloads.ts';

const owner = (version: string, more: object = {}): StatefulSet => ({
	apiVersion: 'apps/v1',
	kind: 'StatefulSet',
	metadata: { name: 'db', namespace: 'default', uid: 'uid-db', ...more },
	spec: { serviceName: '', selector: { matchLabels: { app: 'db' } }, template: template(version, { app: 'db' }) },
});
const revision = (version: string, number: number): ControllerRevision =>
	newRevision(StatefulSet, owner(version), number);

test('a revision remembers the template as a patch that brings it back, and is found by the labels of its pods', (t) => {
	const annotations = {
		'kubernetes.io/change-cause': 'a wish',
		'kubectl.kubernetes.io/last-applied-configuration': '{}',
	};
	const made = newRevision(StatefulSet, owner('1', { annotations }), 4);
	t.is(made.revision, 4);
	t.like(made.metadata.labels, { app: 'db' });
	t.regex(made.metadata.name, /^db-[456789bcdf]+$/);
	t.deepEqual(made.metadata.annotations, { 'kubernetes.io/change-cause': 'a wish' });
	t.like(made.metadata.ownerReferences?.[0], { kind: 'StatefulSet', uid: 'uid-db', controller: true });
	t.like(made.data, { spec: { template: { $patch: 'replace' } } });
	t.deepEqual(templateOf(made), owner('1').spec.template);
	t.is(templateOf({ ...made, data: { other: true } }), undefined);
});

test('its name follows from the template, and is the value of a label', (t) => {
	t.is(revision('1', 1).metadata.name, revision('1', 2).metadata.name);
	t.not(revision('1', 1).metadata.name, revision('2', 1).metadata.name);
	const collided = { ...owner('1'), status: { replicas: 0, collisionCount: 1 } };
	t.not(newRevision(StatefulSet, collided, 1).metadata.name, revision('1', 1).metadata.name);
	const long = newRevision(StatefulSet, owner('1', { name: `${'x'.repeat(51)}-${'y'.repeat(11)}` }), 1);
	t.true(long.metadata.name.length <= 63);
	t.regex(long.metadata.name, /x-[456789bcdf]+$/, 'no dash before the dash');
});

test('a new template is a new revision, an old one becomes the newest, the present one stays', (t) => {
	const history = [revision('2', 2), revision('1', 1)];
	const next = (version: string) => nextRevision(template(version, { app: 'db' }), history);
	t.deepEqual(nextRevision(template('1'), []), { do: 'create', number: 1 });
	t.deepEqual(next('3'), { do: 'create', number: 3 });
	t.like(next('2'), { do: 'keep' });
	t.like(next('1'), { do: 'renumber', number: 3, revision: { revision: 1 } });
});

test('what nothing uses goes beyond the limit, the oldest first', (t) => {
	const history = [5, 1, 4, 2, 3].map((number) => revision(`${number}`, number));
	const gone = (limit: number, live: readonly number[]) =>
		superfluousRevisions(history, (each) => live.includes(each.revision), limit).map((each) => each.revision);
	t.deepEqual(gone(2, [5]), [1, 2]);
	t.deepEqual(gone(2, [5, 1]), [2]);
	t.deepEqual(gone(0, [4, 5]), [1, 2, 3]);
	t.deepEqual(gone(10, [5]), []);
});
