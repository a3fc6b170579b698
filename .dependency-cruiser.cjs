/** Imports go downward only: docs/architecture.md draws the layers. */
const layers = [
	['cli', 'web'],
	['sync'],
	['diff', 'reconcile', 'agents', 'proxy', 'monitoring'],
	['client'],
	['api'],
	['kinds', 'store'],
];
const forbidden = [];
layers.forEach((layer, depth) => {
	const above = layers.slice(0, depth).flat();
	for (const folder of layer) {
		const beside = layer.filter((other) => other !== folder && !(folder === 'cli' && other === 'web'));
		const banned = [...above, ...beside];
		if (banned.length === 0) continue;
		forbidden.push({
			name: `${folder}-imports-downward`,
			severity: 'error',
			from: { path: `^src/${folder}/` },
			to: { path: `^src/(${banned.join('|')})/` },
		});
	}
});
const only = (name, library, folder) => ({
	name,
	severity: 'error',
	from: { path: '^src/', pathNot: `^src/${folder}` },
	to: { path: `node_modules/${library}/` },
});
forbidden.push(
	{
		name: 'no-cycles',
		severity: 'error',
		from: {},
		to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
	},
	{
		name: 'reconcilers-never-touch-the-store',
		severity: 'error',
		from: { path: '^src/(reconcile|agents|proxy|diff|sync)/' },
		to: { path: '^src/store/' },
	},
	{
		name: 'volumes-know-of-their-pod-what-they-are-told',
		severity: 'error',
		from: { path: '^src/agents/volumes/' },
		to: { path: '^src/agents/(pods|probes)/' },
	},
	{
		name: 'engines-are-known-by-their-contract',
		severity: 'error',
		from: { path: '^src/', pathNot: '^src/agents/engine/' },
		to: { path: '^src/agents/engine/[^/]+/' },
	},
	{
		name: 'engines-do-not-know-each-other',
		severity: 'error',
		from: { path: '^src/agents/engine/([^/]+)/' },
		to: { path: '^src/agents/engine/[^/]+/', pathNot: '^src/agents/engine/$1/' },
	},
	only('only-the-engine-talks-to-docker', 'dockerode', 'agents/engine'),
	only('only-sync-git-talks-to-git', 'isomorphic-git', 'sync/git'),
	only('only-the-store-talks-to-etcd', 'etcd3', 'store/'),
	only('only-plugins-load-protocols', '@grpc/proto-loader', 'agents/plugins/'),
);
module.exports = {
	forbidden,
	options: {
		doNotFollow: { path: 'node_modules' },
		tsPreCompilationDeps: true,
		enhancedResolveOptions: { extensions: ['.ts', '.js', '.json'] },
	},
};
