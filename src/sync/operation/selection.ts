/** Which objects a sync is about: all, or those that its resources name and do not leave out. Pure. Source: Argo CD, "Selective Sync". */
import { type Dynamic, type Operation, parseApiVersion, type SyncOperationResource } from '../../kinds/index.ts';

export function isSelective({ sync }: Operation): boolean {
	return (sync?.resources?.length ?? 0) > 0;
}

export function selection({ sync }: Operation): (object: Dynamic) => boolean {
	const named = sync?.resources ?? [];
	const wanted = named.filter(({ exclude }) => !exclude);
	const unwanted = named.filter(({ exclude }) => exclude);
	return (object) =>
		(wanted.length === 0 || wanted.some((each) => names(each, object))) &&
		!unwanted.some((each) => names(each, object));
}

function names({ group = '', kind, name, namespace }: SyncOperationResource, object: Dynamic): boolean {
	return (
		group === parseApiVersion(object.apiVersion).group &&
		kind === object.kind &&
		name === object.metadata.name &&
		(!namespace || namespace === object.metadata.namespace)
	);
}
