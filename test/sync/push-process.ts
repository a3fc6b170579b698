/** A process that serves pushes and never answers: for tests of what a push becomes when the process is killed. Prints its URL. */
import { loadToken, openPushServer } from '../../src/sync/push/index.ts';
import { openEmbedded } from '../../src/sync/source/index.ts';
import { serveWeb } from '../../src/web/index.ts';

const [dataDir = '', stage] = process.argv.slice(2);
const log = { debug() {}, info() {}, warn() {}, error() {} };
const forever = () => new Promise<never>(() => {});
const token = await loadToken(dataDir);
const push = await openPushServer({
	repositories: [await openEmbedded(dataDir)],
	token,
	log,
	handler: {
		async check() {
			if (stage === 'check') {
				console.log('checking');
				await forever();
			}
			return { accept: true, lines: [] };
		},
		async *accepted() {
			console.log('accepted');
			yield '';
			await forever();
		},
	},
});
const web = await serveWeb({ port: 0, push, log });
console.log(`http://git:${token}@127.0.0.1:${web.port}/git/default.git`);
