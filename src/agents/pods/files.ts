/** What is on the machine's disk for each pod, and the files that give a pod its names. Paths as the kubelet has them. */
import { chmod, mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Pod } from '../../kinds/index.ts';
import { uidOf } from './names.ts';

/** Longest host name that the kernel takes, and longest label of DNS. */
const MAX_KERNEL_HOSTNAME = 64;
const MAX_HOSTNAME = 63;

export interface PodFiles {
	readonly root: string;
	readonly hosts: string;
	readonly resolv: string;
	/** Since when the pod is being stopped. */
	readonly stopping: string;
	/** Why the pod is evicted. */
	readonly evicted: string;
	terminationMessage(container: string, attempt: number): string;
}

/** Where a pod's files lie. */
export function podFiles(dataDir: string, uid: string): PodFiles {
	const root = join(dataDir, 'pods', uid);
	return {
		root,
		hosts: join(root, 'etc-hosts'),
		resolv: join(root, 'resolv.conf'),
		stopping: join(root, 'stopping-since'),
		evicted: join(root, 'evicted.json'),
		terminationMessage: (container, attempt) => join(root, 'containers', container, `termination-${attempt}`),
	};
}

/** Uids of the pods that have files on this machine. */
export async function podsOnDisk(dataDir: string): Promise<string[]> {
	return readdir(join(dataDir, 'pods')).catch((error: NodeJS.ErrnoException) => {
		if (error.code === 'ENOENT') return [];
		throw error;
	});
}

/** Makes the file to which a container writes its last words. */
export async function prepareTerminationMessage(path: string): Promise<void> {
	await mkdir(dirname(path), { recursive: true, mode: 0o755 });
	await writeFile(path, '', { flag: 'a' });
	await chmod(path, 0o666);
}

export function hostname(pod: Pod): string {
	return (pod.spec.hostname ?? pod.metadata.name).slice(0, MAX_HOSTNAME).replace(/[-.]+$/, '');
}

/** The name with its domain, where the pod has a subdomain. */
function domainName(pod: Pod, domain: string): string | undefined {
	const { subdomain } = pod.spec;
	return subdomain ? `${hostname(pod)}.${subdomain}.${pod.metadata.namespace}.svc.${domain}` : undefined;
}

/** What the pod's kernel is told as its name. Throws where the name that the pod asks for is too long. */
export function kernelHostname(pod: Pod, domain: string): string {
	const full = pod.spec.setHostnameAsFQDN ? domainName(pod, domain) : undefined;
	if (full && full.length > MAX_KERNEL_HOSTNAME) {
		throw new Error(
			`failed to construct FQDN from pod hostname and cluster domain, FQDN ${full} is too long (${MAX_KERNEL_HOSTNAME} characters is the max, ${full.length} characters requested)`,
		);
	}
	return full ?? hostname(pod);
}

export interface Dns {
	readonly server: string;
	readonly domain: string;
}

/** Sees to it that the pod's hosts and resolv.conf are there and right. `address` is the pod's, once it has one. */
export async function writeNames(dataDir: string, pod: Pod, address: string | undefined, dns: Dns): Promise<void> {
	const files = podFiles(dataDir, uidOf(pod));
	await mkdir(files.root, { recursive: true, mode: 0o750 });
	const machineHosts = pod.spec.hostNetwork ? await readFile('/etc/hosts', 'utf8').catch(() => '') : undefined;
	await writeWhole(files.hosts, hostsFile(pod, address, dns, machineHosts));
	await writeWhole(files.resolv, resolvFile(pod, dns, await machineResolv()));
}

/** All of the content or what was there before, also when the process dies meanwhile. A file that has it already stays. */
async function writeWhole(path: string, content: string): Promise<void> {
	const present = await readFile(path, 'utf8').catch(() => undefined);
	if (present === content) return;
	await writeFile(`${path}.new`, content);
	await rename(`${path}.new`, path);
}

/**
 * Where systemd-resolved serves the machine, its file names a resolver on the machine's loopback; this one names those behind
 * it. Source: systemd-resolved.service(8), "/etc/resolv.conf"; kubeadm gives it to the kubelet as `resolvConf`.
 */
const RESOLVED = '/run/systemd/resolve/resolv.conf';

/** The machine's resolv.conf, as it is of use outside of the machine's network. */
async function machineResolv(): Promise<string> {
	const text = await readFile('/etc/resolv.conf', 'utf8').catch(() => '');
	if (!parseResolv(text).servers.every(isLoopback)) return text;
	return await readFile(RESOLVED, 'utf8').catch(() => text);
}

const isLoopback = (address: string) => address.startsWith('127.') || address === '::1';

/** The content of /etc/hosts. `machine` is the machine's own, for pods on its network. */
export function hostsFile(pod: Pod, address: string | undefined, dns: Dns, machine?: string): string {
	const full = domainName(pod, dns.domain);
	const names = full ? [full, hostname(pod)] : [hostname(pod)];
	const own = [
		'127.0.0.1\tlocalhost',
		'::1\tlocalhost ip6-localhost ip6-loopback',
		'fe00::0\tip6-localnet',
		'fe00::0\tip6-mcastprefix',
		'fe00::1\tip6-allnodes',
		'fe00::2\tip6-allrouters',
		...(address ? [`${address}\t${names.join('\t')}`] : []),
	].join('\n');
	const aliases = (pod.spec.hostAliases ?? []).map(({ ip, hostnames }) => `${ip}\t${(hostnames ?? []).join('\t')}`);
	const added = aliases.length > 0 ? `\n# Entries added by HostAliases.\n${aliases.join('\n')}\n` : '';
	return `# Kubernetes-managed hosts file${machine === undefined ? '' : ' (host network)'}.\n${machine ?? `${own}\n`}${added}`;
}

/** The content of /etc/resolv.conf by the pod's dnsPolicy. Source: Kubernetes documentation, "DNS for Services and Pods". */
export function resolvFile(pod: Pod, dns: Dns, machine: string): string {
	const { dnsConfig } = pod.spec;
	let policy = pod.spec.dnsPolicy ?? 'ClusterFirst';
	// On the machine's network the machine's resolver counts, unless the pod asks for the cluster's in so many words.
	if (policy === 'ClusterFirst' && pod.spec.hostNetwork) policy = 'Default';
	const base =
		policy === 'None'
			? { servers: [], searches: [], options: [] }
			: policy === 'Default'
				? inherited(parseResolv(machine), pod, dns)
				: {
						servers: [dns.server],
						searches: [
							`${pod.metadata.namespace}.svc.${dns.domain}`,
							`svc.${dns.domain}`,
							dns.domain,
							...parseResolv(machine).searches,
						],
						options: ['ndots:5'],
					};
	const servers = [...new Set([...base.servers, ...(dnsConfig?.nameservers ?? [])])];
	const searches = [...new Set([...base.searches, ...(dnsConfig?.searches ?? [])])];
	const options = new Map(base.options.map((option) => [option.split(':')[0], option]));
	for (const { name = '', value } of dnsConfig?.options ?? []) options.set(name, value ? `${name}:${value}` : name);
	return [
		...servers.map((server) => `nameserver ${server}`),
		...(searches.length > 0 ? [`search ${searches.join(' ')}`] : []),
		...(options.size > 0 ? [`options ${[...options.values()].join(' ')}`] : []),
		'',
	].join('\n');
}

interface Resolution {
	readonly servers: readonly string[];
	readonly searches: readonly string[];
	readonly options: readonly string[];
}

/**
 * What a pod takes over of its machine. A server on the machine's loopback is not there in a network of the pod's own: where
 * there is no other, the cluster's stands in, which asks those of the machine.
 */
function inherited(machine: Resolution, pod: Pod, dns: Dns): Resolution {
	if (pod.spec.hostNetwork) return machine;
	const servers = machine.servers.filter((server) => !isLoopback(server));
	return { ...machine, servers: servers.length > 0 ? servers : [dns.server] };
}

function parseResolv(text: string): Resolution {
	const found = { servers: [] as string[], searches: [] as string[], options: [] as string[] };
	for (const line of text.split('\n')) {
		const [word, ...rest] = line.trim().split(/\s+/);
		if (word === 'nameserver' && rest[0]) found.servers.push(rest[0]);
		if (word === 'search') found.searches = rest;
		if (word === 'options') found.options.push(...rest);
	}
	return found;
}
