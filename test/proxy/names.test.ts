import test from 'ava';
import { type Answer, answer, zoneOfName } from '../../src/proxy/dns/names.ts';
import { service, slice } from './objects.ts';
import { zone } from './zone.ts';

const labels = (name: string) => ({ 'kubernetes.io/service-name': name });
const ports = [
	{ name: 'sql', port: 5432, protocol: 'TCP' },
	{ name: 'sql-udp', port: 5433, protocol: 'UDP' },
];
const cluster = zone(
	[
		service({ ports: [...ports.slice(0, 1), { name: 'dns', port: 53, protocol: 'UDP' }] }),
		service({ clusterIP: 'None', ports }, { name: 'db' }),
		service({ type: 'ExternalName', clusterIP: undefined, externalName: 'db.example.com.' }, { name: 'out' }),
		service({ clusterIP: 'None' }, { name: 'idle' }),
	],
	[
		slice([{ addresses: ['10.244.0.9'] }], { metadata: { name: 'web-1', namespace: 'shop', labels: labels('web') } }),
		slice(
			[
				{ addresses: ['10.244.0.2'], hostname: 'db-0' },
				{ addresses: ['10.244.1.3'] },
				{ addresses: ['10.244.0.4'], conditions: { ready: false } },
			],
			{ metadata: { name: 'db-1', namespace: 'shop', labels: labels('db') }, ports },
		),
	],
);

const show = (found: readonly Answer[] | undefined) =>
	found?.map((each) => {
		switch (each.type) {
			case 'A':
				return each.ip;
			case 'SRV':
				return `${each.port} ${each.target} ${each.ip}`;
			case 'TXT':
				return each.text;
			case 'SOA':
				return each.domain;
			default:
				return each.target;
		}
	});

const noSuchName = undefined;
const noRecords: string[] = [];
const at = 'svc.cluster.local';
const table: [string, string, string, string[] | undefined][] = [
	['a service has its cluster address', `web.shop.${at}`, 'A', ['10.96.0.5']],
	['AAAA of a name that is there has no records', `web.shop.${at}`, 'AAAA', noRecords],
	['a service that is not there', `nope.shop.${at}`, 'A', noSuchName],
	['a service of another namespace', `web.empty.${at}`, 'A', noSuchName],
	['too many labels, as by a search path', `www.example.com.shop.${at}`, 'A', noSuchName],
	['a named port', `_sql._tcp.web.shop.${at}`, 'SRV', [`5432 web.shop.${at} 10.96.0.5`]],
	['a named port of UDP', `_dns._udp.web.shop.${at}`, 'SRV', [`53 web.shop.${at} 10.96.0.5`]],
	['a port of another protocol', `_sql._udp.web.shop.${at}`, 'SRV', noSuchName],
	['a named port has no address', `_sql._tcp.web.shop.${at}`, 'A', noRecords],
	['all ports of a service', `web.shop.${at}`, 'SRV', [`5432 web.shop.${at} 10.96.0.5`, `53 web.shop.${at} 10.96.0.5`]],
	['an endpoint of a service', `10-244-0-9.web.shop.${at}`, 'A', ['10.244.0.9']],
	['a headless service has the addresses of what is ready', `db.shop.${at}`, 'A', ['10.244.0.2', '10.244.1.3']],
	['an endpoint with a host name', `db-0.db.shop.${at}`, 'A', ['10.244.0.2']],
	['an endpoint with a host name has no other', `10-244-0-2.db.shop.${at}`, 'A', noSuchName],
	['an endpoint without a host name', `10-244-1-3.db.shop.${at}`, 'A', ['10.244.1.3']],
	['an endpoint that is not ready', `10-244-0-4.db.shop.${at}`, 'A', noSuchName],
	[
		'a named port of a headless service is at each endpoint',
		`_sql._tcp.db.shop.${at}`,
		'SRV',
		[`5432 db-0.db.shop.${at} 10.244.0.2`, `5432 10-244-1-3.db.shop.${at} 10.244.1.3`],
	],
	['a headless service without endpoints is there', `idle.shop.${at}`, 'A', noRecords],
	['an ExternalName is an alias, whatever is asked', `out.shop.${at}`, 'AAAA', ['db.example.com']],
	['nothing is below an ExternalName', `x.out.shop.${at}`, 'A', noSuchName],
	['a pod by its address', '10-244-0-7.shop.pod.cluster.local', 'A', ['10.244.0.7']],
	['a pod of a namespace that is not there', '10-244-0-7.nope.pod.cluster.local', 'A', noSuchName],
	['what is no address is no pod', '10-244-0-777.shop.pod.cluster.local', 'A', noSuchName],
	['nothing is below a pod', 'x.10-244-0-7.shop.pod.cluster.local', 'A', noSuchName],
	['a namespace is there', `shop.${at}`, 'A', noRecords],
	['a namespace that is not there', `nope.${at}`, 'A', noSuchName],
	['the zone is there', 'cluster.local', 'A', noRecords],
	['the zone has an authority', 'cluster.local', 'SOA', ['cluster.local']],
	['services are there', at, 'A', noRecords],
	['anything else is not', 'web.shop.cluster.local', 'A', noSuchName],
	['the version of the schema', 'dns-version.cluster.local', 'TXT', ['1.1.0']],
	['a cluster address has a name', '5.0.96.10.in-addr.arpa', 'PTR', [`web.shop.${at}`]],
	['an endpoint of a headless service has a name', '2.0.244.10.in-addr.arpa', 'PTR', [`db-0.db.shop.${at}`]],
	['an endpoint of another service has none', '9.0.244.10.in-addr.arpa', 'PTR', noSuchName],
	['a reverse name has no address', '5.0.96.10.in-addr.arpa', 'A', noRecords],
];
for (const [title, name, type, wanted] of table)
	test(`${title}: ${type} ${name}`, (t) => t.deepEqual(show(answer(name, type, cluster)), wanted));

test('the names of the cluster and the reverse names of its networks are its own to answer', (t) => {
	t.is(zoneOfName('web.shop.svc.cluster.local', cluster), 'cluster.local');
	t.is(zoneOfName('cluster.local', cluster), 'cluster.local');
	t.is(zoneOfName('notcluster.local', cluster), undefined);
	t.is(zoneOfName('example.com', cluster), undefined);
	t.is(zoneOfName('1.0.244.10.in-addr.arpa', cluster), 'in-addr.arpa');
	t.is(zoneOfName('1.0.0.10.in-addr.arpa', cluster), undefined);
	t.is(zoneOfName('0.244.10.in-addr.arpa', cluster), undefined);
});
