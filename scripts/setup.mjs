// Makes a fresh clone ready: npm packages, generated schemas, and the programs that driftless drives.
// Plain JavaScript without dependencies, because it runs before anything is installed, on whatever Node.js npm came with.
// Usage: node scripts/setup.mjs [--for-tests]
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installNewer, isPackaged, whatIsWrongWith } from './kubectl.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const forTests = process.argv.includes('--for-tests');
const say = (line) => process.stderr.write(`set-up: ${line}\n`);

/**
 * What is needed beside Node.js: the program or library, the Debian package that has it, and what for. `service`: what the
 * package would run from now on though nothing here asks for it; the tests start their own.
 */
const programs = [
	// With DOCKER_HOST the engine runs elsewhere, and none is needed here.
	...(process.env.DOCKER_HOST ? [] : [{ program: 'dockerd', packages: ['docker.io'], why: 'runs the containers' }]),
	{ program: 'iptables', packages: ['iptables'], why: 'carries the networks of the Docker engine' },
	{ program: 'nft', packages: ['nftables'], why: 'carries services' },
	{ program: 'ip', packages: ['iproute2'], why: 'routes between nodes' },
	{ program: 'conntrack', packages: ['conntrack'], why: 'ends UDP flows to endpoints that are gone' },
	{ program: 'git', packages: ['git'], why: 'receives pushes' },
	{ program: 'busybox', packages: ['busybox-static'], why: 'makes the image of the examples' },
	{ program: 'libatomic.so.1', packages: ['libatomic1'], why: 'is a library that Node.js 26 is linked with' },
	...(forTests
		? [
				{
					program: 'etcd',
					packages: ['etcd-server', 'etcd-client'],
					why: 'is the cluster store, for its tests',
					service: 'etcd',
				},
				{
					program: 'docker-registry',
					packages: ['docker-registry'],
					why: 'serves images to the tests of pulls',
					service: 'docker-registry',
				},
				{
					program: 'prometheus',
					packages: ['prometheus'],
					why: 'measures for the tests of what is told to it and asked of it',
					service: 'prometheus',
				},
				{ program: 'ps', packages: ['procps'], why: 'shows what runs, for the tests' },
				{ program: 'curl', packages: ['curl'], why: 'asks the sites of the examples, for their tests' },
			]
		: []),
];

/** Where system programs lie even when PATH does not say so. node_modules/.bin is left out: a package there is called nft too. */
const directories = [
	...(process.env.PATH ?? '').split(delimiter).filter((directory) => !directory.includes('node_modules')),
	'/usr/local/sbin',
	'/usr/sbin',
	'/sbin',
	'/usr/local/bin',
	'/usr/bin',
	'/bin',
];

function find(program) {
	if (program.includes('.so')) return findLibrary(program);
	for (const directory of directories) {
		try {
			accessSync(join(directory, program), constants.X_OK);
			return join(directory, program);
		} catch {
			// not here
		}
	}
	return undefined;
}

/** By the list of the dynamic linker; one that cannot be asked has it, as far as we know. */
function findLibrary(name) {
	const ldconfig = find('ldconfig');
	const { status, stdout } = ldconfig ? spawnSync(ldconfig, ['-p'], { encoding: 'utf8' }) : {};
	return status !== 0 || stdout.includes(name) ? name : undefined;
}

/** Runs a command, showing a dot every two seconds; what it printed is shown only when it fails. */
async function run(title, command, args, env = {}, cwd = root) {
	const { code, output } = await attempt(title, command, args, { env, cwd });
	if (code !== 0) process.stderr.write(output);
	return code === 0;
}

/** As `run`, but leaves it to the caller to tell of a failure. A command that takes longer than `timeout` ms is killed. */
async function attempt(title, command, args, { env = {}, cwd = root, timeout = 0 } = {}) {
	process.stderr.write(`set-up: ${title} `);
	const dots = setInterval(() => process.stderr.write('.'), 2000);
	const started = Date.now();
	const output = [];
	const code = await new Promise((resolve) => {
		const child = spawn(command, args, {
			cwd,
			timeout,
			killSignal: 'SIGKILL',
			env: { ...process.env, ...env },
			stdio: ['ignore', 'pipe', 'pipe'],
		});
		child.stdout.on('data', (chunk) => output.push(chunk));
		child.stderr.on('data', (chunk) => output.push(chunk));
		child.on('error', (error) => {
			output.push(Buffer.from(`${error.message}\n`));
			resolve(127);
		});
		child.on('close', resolve);
	});
	clearInterval(dots);
	process.stderr.write(code === 0 ? ` done (${((Date.now() - started) / 1000).toFixed(1)} s)\n` : ' failed\n');
	return { code, output: Buffer.concat(output).toString() };
}

function fail(...lines) {
	for (const line of lines) say(line);
	process.exit(1);
}

/**
 * Programs that the system's npm may have built for the system's Node.js: another one that loads them crashes at its end. ssh2 goes
 * without.
 */
const builtForAnother = ['ssh2/lib/protocol/crypto/build', 'cpu-features/build'];

async function npmPackages() {
	for (const path of builtForAnother) rmSync(join(root, 'node_modules', path), { recursive: true, force: true });
	const lock = createHash('sha256')
		.update(readFileSync(join(root, 'package-lock.json')))
		.update(readFileSync(join(root, 'package.json')))
		.digest('hex');
	const stamp = join(root, 'node_modules', '.driftless-lock');
	if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock && existsSync(join(root, 'node_modules/.bin/node')))
		return;
	// Not `npm ci`: it refuses a lock file that lacks optional packages of other platforms, which a registry may not have. This
	// installs what the lock file says as well, and does not write to it.
	const install = ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error', '--ignore-scripts'];
	// Of all packages this one's script alone is run, as `allowScripts` of package.json says to an npm that knows it.
	const fetchNode = ['rebuild', 'node', '--loglevel=error', '--ignore-scripts=false'];
	const registry = spawnSync('npm', ['config', 'get', 'registry'], { cwd: root, encoding: 'utf8' }).stdout?.trim();
	const away = await registryIsAway(registry);
	// What npm has kept from another time may be enough.
	const kept = away ? ' that are kept here' : '';
	if (away) for (const args of [install, fetchNode]) args.push('--offline');
	let { code, output } = await attempt(`installing npm packages${kept}`, 'npm', install);
	if (code === 0) ({ code, output } = await attempt('installing Node.js 26 beside the project', 'npm', fetchNode));
	if (code !== 0 && away)
		fail(
			`the npm registry ${registry} cannot be reached: ${away}`,
			'driftless and its Node.js come from there: see to the network, or name a proxy (npm config set https-proxy URL)',
			'or a mirror (npm config set registry URL), then run the same command again',
		);
	if (code !== 0) {
		process.stderr.write(output);
		fail('the npm packages could not be installed: see above; then run the same command again');
	}
	writeFileSync(stamp, lock);
}

/** How long the registry may take to answer, in ms; npm itself would try for minutes without a word. */
const REGISTRY_MS = 15_000;

/** Why the registry cannot be reached; undefined where it answers, whatever it says. */
async function registryIsAway(registry) {
	const ping = ['ping', '--fetch-retries=0', '--loglevel=error'];
	const { code, output } = await attempt(`asking the npm registry ${registry}`, 'npm', ping, { timeout: REGISTRY_MS });
	if (code === 0) return undefined;
	const reason = /npm (?:error|ERR!) code (\S+)/.exec(output)?.[1];
	// E404 and the like: a registry need not know how to be asked for nothing.
	if (reason && /^E\d{3}$/.test(reason)) return undefined;
	return reason ?? `no answer within ${REGISTRY_MS / 1000} s`;
}

const byApt = { DEBIAN_FRONTEND: 'noninteractive' };
let listsRead = false;

async function readLists() {
	if (!listsRead) await run('reading the list of Debian packages', 'apt-get', ['update', '-q'], byApt);
	listsRead = true;
}

// A service that a package would start is not wanted: `driftless up` starts and supervises the engine itself.
const install = (packages) =>
	run(
		`installing ${packages.join(', ')}`,
		'apt-get',
		['install', '-y', '-q', '--no-install-recommends', ...packages],
		byApt,
	);

async function systemPrograms() {
	const missing = programs.filter(({ program }) => !find(program));
	if (missing.length === 0) return;
	for (const { program, why } of missing) say(`${program} is missing: it ${why}`);
	const packages = missing.flatMap((each) => each.packages);
	const byHand = `install them by hand, then run the same command again: apt-get install --no-install-recommends ${packages.join(' ')}`;
	if (process.getuid?.() !== 0) fail('they can be installed only by root', byHand);
	if (!find('apt-get')) fail('this system has no apt-get', byHand);
	await readLists();
	if (!(await install(packages))) fail(byHand);
	for (const { service } of missing) if (service) await switchOff(service);
	const still = missing.filter(({ program }) => !find(program));
	if (still.length > 0) fail(`still missing: ${still.map(({ program }) => program).join(', ')}`, byHand);
}

/** Only kustomizations and the tests need it: without one the platform starts all the same. */
async function kubectl() {
	const found = find('kubectl');
	if (!forTests && find('kustomize')) return;
	const wrong = found
		? whatIsWrongWith(found)
		: 'kubectl is missing: it renders kustomizations, and is the usual client';
	if (!wrong) return;
	say(wrong);
	if (!found && process.getuid?.() === 0 && find('apt-get')) {
		await readLists();
		if (isPackaged() ? await install(['kubernetes-client']) : await installNewer(run)) return;
	}
	const how = 'install it by hand: https://kubernetes.io/docs/tasks/tools/';
	if (forTests) fail(how);
	say(`${how}; until then pushes with a kustomization are refused`);
}

/** Stops a service that came with a package, and keeps it from starting with the machine. */
async function switchOff(service) {
	const [command, args] = find('systemctl')
		? ['systemctl', ['disable', existsSync('/run/systemd/system') ? '--now' : '--quiet', service]]
		: ['update-rc.d', [service, 'disable']];
	if (find(command)) await run(`switching the service ${service} off`, command, args);
}

function kinds() {
	const node = join(root, 'node_modules/.bin/node');
	for (const script of ['generate-kinds', 'generate-schema']) {
		const made = spawnSync(node, [join(root, `scripts/${script}.ts`)], {
			cwd: root,
			stdio: ['ignore', 'ignore', 'inherit'],
		});
		if (made.status !== 0) fail('the list of the built-in kinds and their schemas could not be generated: see above');
	}
}

if (process.platform !== 'linux') fail(`driftless runs on Linux; this is ${process.platform}`);
mkdirSync(join(root, 'node_modules'), { recursive: true });
await systemPrograms();
await kubectl();
await npmPackages();
kinds();
