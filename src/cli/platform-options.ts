import { type Command, Option } from 'commander';
import { SCHEDULING_STRATEGIES } from '../kinds/index.ts';
import { DEFAULT_PUSH_WAIT_MS } from '../sync/index.ts';
import { cidr, disabled, duration, goawayChance, httpUrl, oneOf, ownIp, port, prefixLength } from './options.ts';

/** The flags that `up` and `server` share: what the control plane is. */
export function platformOptions(command: Command): Command {
	return command
		.addOption(
			new Option(
				'--store <store>',
				'where state is kept: sqlite, or etcd://HOST:PORT,..., or etcds:// for etcd over TLS',
			).default('sqlite'),
		)
		.addOption(
			new Option('--etcd-cafile <file>', 'who signs the certificates of etcd (default: those that Node.js knows)'),
		)
		.addOption(new Option('--etcd-certfile <file>', 'certificate that is shown to etcd'))
		.addOption(new Option('--etcd-keyfile <file>', 'its key'))
		.addOption(new Option('--etcd-user <name>', 'a user of etcd').env('DRIFTLESS_ETCD_USER'))
		.addOption(
			new Option(
				'--etcd-password-file <file>',
				'the file with his password (default: that of DRIFTLESS_ETCD_PASSWORD)',
			),
		)
		.addOption(new Option('--api-port <port>', 'HTTPS port of the Kubernetes API').argParser(port).default(6443))
		.addOption(new Option('--api-address <address>', 'address that the API listens on').default('0.0.0.0'))
		.addOption(
			new Option(
				'--goaway-chance <share>',
				'share of requests over HTTP/2 after which a client connects anew, maybe to another server',
			)
				.argParser(goawayChance)
				.default(0),
		)
		.addOption(
			new Option('--http-port <port>', 'HTTP port of the git endpoint and webhooks').argParser(port).default(7080),
		)
		.addOption(new Option('--http-address <address>', 'address that the git endpoint listens on').default('127.0.0.1'))
		.addOption(
			new Option(
				'--advertise-address <address>',
				'address under which pods and other machines reach this one (default: its first)',
			).argParser(ownIp),
		)
		.addOption(
			new Option('--pod-network <cidr>', 'addresses of pods; each node has a part of it')
				.argParser(cidr)
				.default('10.244.0.0/16'),
		)
		.addOption(
			new Option('--node-cidr-mask-size <bits>', 'how large the part of a node is: 24 is 256 addresses')
				.argParser(prefixLength)
				.default(24),
		)
		.addOption(new Option('--service-network <cidr>', 'addresses of services').argParser(cidr).default('10.96.0.0/12'))
		.addOption(
			new Option('--strategy <name>', 'how the scheduler spreads pods')
				.choices([...SCHEDULING_STRATEGIES])
				.default('least-allocated'),
		)
		.addOption(
			new Option(
				'--prometheus <url>',
				'a Prometheus, by whose metrics autoscalers can scale: http://prometheus.example.com:9090',
			).argParser(httpUrl),
		)
		.addOption(
			new Option(
				'--disable <components>',
				'what somebody else does here instead: servicelb, which gives LoadBalancers the addresses of nodes',
			)
				.argParser(disabled)
				.default([], 'none'),
		)
		.addOption(new Option('--watch <dir>', 'a folder that the application default follows'))
		.addOption(new Option('--repo <url>', 'a git repository that the application default follows'))
		.addOption(new Option('--revision <revision>', 'with --repo: branch, tag or commit').default('HEAD'))
		.addOption(
			new Option(
				'--application-namespaces <patterns>',
				'namespaces whose Applications count beside default and argocd, with commas between: a,team-*',
			).argParser((text) => text.split(',').map((each) => each.trim())),
		)
		.addOption(
			new Option('--poll <duration>', 'how often remote repositories are looked at')
				.argParser(duration)
				.default(180_000, '3m'),
		)
		.addOption(
			new Option(
				'--webhook-secret-file <file>',
				'what webhooks are signed with (default: anybody on this machine may have sources looked at)',
			),
		)
		.addOption(
			new Option('--push-wait <duration>', 'how long a push is shown progress; 0 does not wait')
				.argParser(duration)
				.default(DEFAULT_PUSH_WAIT_MS, '30s'),
		)
		.addOption(
			new Option('--log-level <level>', 'debug, info, warn or error')
				.argParser(oneOf('debug', 'info', 'warn', 'error'))
				.default('warn'),
		)
		.addOption(new Option('--log-format <format>', 'text or json').argParser(oneOf('text', 'json')).default('text'));
}
