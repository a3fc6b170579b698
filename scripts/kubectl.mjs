// A kubectl that is new enough: the one there is, or that of the system's packages, or that of a newer Debian.
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The first with kustomize 5 inside that also tells who one is. */
const OLDEST = [1, 28];
/** The Debian release whose kubectl runs on older ones too, and its package. */
const NEWER_RELEASE = 'trixie';
const INSTALLED = '/usr/local/bin/kubectl';

const ask = (command, ...args) => spawnSync(command, args, { encoding: 'utf8' }).stdout ?? '';

/** The first two numbers of a version in a text, `v1.32.3` or `1.20.5+really1.20.2`. */
function versionIn(text) {
	const found = /(\d+)\.(\d+)(?!.*really)/.exec(text);
	return found ? [Number(found[1]), Number(found[2])] : undefined;
}
const isNew = (version) => version && (version[0] > OLDEST[0] || (version[0] === OLDEST[0] && version[1] >= OLDEST[1]));

/** Why this kubectl will not do; undefined where it will. */
export function whatIsWrongWith(path) {
	const version = versionIn(
		/"?gitVersion"?: "?v([^"\n]*)/.exec(ask(path, 'version', '--client', '-o', 'json'))?.[1] ?? '',
	);
	if (isNew(version)) return undefined;
	return `${path} is version ${version?.join('.') ?? 'unknown'}; ${OLDEST.join('.')} or newer is needed`;
}

/** Whether apt-get has a kubectl that is new enough, after an update of its lists. */
export const isPackaged = () =>
	isNew(versionIn(/Candidate: (\S+)/.exec(ask('apt-cache', 'policy', 'kubernetes-client'))?.[1] ?? ''));

/** Installs the kubectl of a newer Debian, from the mirror that the machine uses. The machine's own sources stay as they are. */
export async function installNewer(run) {
	const mirror = ask('apt-get', 'indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages')
		.split('\n')
		.find((uri) => /\/debian\/?$/.test(uri));
	if (!mirror) return false;
	const folder = mkdtempSync(join(tmpdir(), 'driftless-kubectl-'));
	try {
		mkdirSync(join(folder, 'lists/partial'), { recursive: true });
		writeFileSync(join(folder, 'sources.list'), `deb ${mirror} ${NEWER_RELEASE} main\n`);
		const apart = [
			`Dir::Etc::SourceList=${folder}/sources.list`,
			'Dir::Etc::SourceParts=/dev/null',
			`Dir::State::Lists=${folder}/lists`,
			// The folder is root's alone.
			'APT::Sandbox::User=root',
		].flatMap((option) => ['-o', option]);
		const title = `reading the list of Debian ${NEWER_RELEASE}, since this system's kubectl is too old`;
		if (!(await run(title, 'apt-get', [...apart, 'update', '-q']))) return false;
		if (!(await run('fetching kubectl', 'apt-get', [...apart, 'download', 'kubectl'], {}, folder))) return false;
		const archive = readdirSync(folder).find((name) => name.endsWith('.deb'));
		if (!archive || !(await run(`installing it as ${INSTALLED}`, 'dpkg-deb', ['-x', archive, 'unpacked'], {}, folder)))
			return false;
		copyFileSync(join(folder, 'unpacked/usr/bin/kubectl'), INSTALLED);
		return whatIsWrongWith(INSTALLED) === undefined;
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}
