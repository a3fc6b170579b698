/** Claims of a push: why one waits is what the Application, and so `driftless status`, says of it. */
import test from 'ava';
import { startGitOps } from './gitops.ts';

const claim = (name: string, storageClass: string) => `apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: ${name}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: "${storageClass}"
  resources:
    requests:
      storage: 1Gi
`;

test('an Application says why its claims wait', async (t) => {
	const world = await startGitOps(t);
	const pushed = await world.push({ 'a.yaml': claim('classless', ''), 'b.yaml': claim('gold', 'gold') });
	t.is(pushed.code, 0, pushed.output);
	const { resources } = await world.status(
		(status) => status.resources?.filter(({ health }) => health?.status === 'Progressing').length === 2,
	);
	t.deepEqual(resources?.map(({ name, health }) => `${name}: ${health?.message}`).toSorted(), [
		'classless: no persistent volumes available for this claim and no storage class is set',
		'gold: storageclass.storage.k8s.io "gold" not found',
	]);
});
