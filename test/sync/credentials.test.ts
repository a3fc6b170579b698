import test from 'ava';
import type { Secret } from '../../src/kinds/index.ts';
import { chooseCredentials } from '../../src/sync/want/credentials.ts';

const secret = (type: string, data: Record<string, string>): Secret => ({
	apiVersion: 'v1',
	kind: 'Secret',
	metadata: { name: 'x', namespace: 'default', labels: { 'argocd.argoproj.io/secret-type': type } },
	data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')])),
});
const exact = secret('repository', { url: 'https://git.example.com/team/shop.git', username: 'ada', password: 'one' });
const host = secret('repo-creds', { url: 'https://git.example.com', username: 'all', password: 'two' });
const team = secret('repo-creds', { url: 'https://git.example.com/team', bearerToken: 'three' });

test('the Secret of the very repository counts before those of prefixes, and the longest prefix before others', (t) => {
	t.deepEqual(chooseCredentials([host, team, exact], 'https://git.example.com/team/shop'), {
		username: 'ada',
		password: 'one',
	});
	t.deepEqual(chooseCredentials([host, team], 'https://git.example.com/team/shop.git'), { password: 'three' });
	t.deepEqual(chooseCredentials([host, team], 'https://git.example.com/other/shop.git'), {
		username: 'all',
		password: 'two',
	});
});

test('no Secret of another place is ever sent', (t) => {
	t.is(chooseCredentials([host, team, exact], 'https://git.example.com.evil.org/team/shop.git'), undefined);
	t.is(chooseCredentials([team], 'https://git.example.com/teams/shop.git'), undefined);
	t.is(chooseCredentials([exact], 'http://git.example.com/team/shop.git'), undefined, 'not in the clear');
	t.is(chooseCredentials([secret('repository', { username: 'x' })], 'https://git.example.com/a'), undefined);
});

test('a Secret whose URL is written badly keeps no other from being found', (t) => {
	const broken = secret('repo-creds', { url: 'https://git.example.com/%zz', password: 'x' });
	t.deepEqual(chooseCredentials([broken, team], 'https://git.example.com/team/shop.git'), { password: 'three' });
});
