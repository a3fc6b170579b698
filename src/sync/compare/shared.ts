/** Objects that two applications want. Source: Argo CD, SharedResourceWarning and the sync option FailOnSharedResource. Pure. */
import { type Key, splitKey } from '../../kinds/index.ts';
import type { ApplicationState } from '../state.ts';
import { applicationKey, homeNamespace } from '../want/desired.ts';

/** An object that another application has and wants as well. */
export interface Shared {
	readonly id: string;
	/** The other application, as tracking ids name it. */
	readonly by: string;
}

/** Objects that a text names. */
const MAX_NAMED = 20;

/** `ConfigMap/page is part of the applications shop and library`, for each object. */
export function sharedText(shared: ReadonlyMap<string, Shared>, { key }: Pick<ApplicationState, 'key'>): string {
	const texts = [...shared.values()].map(({ id, by }) => {
		const [, kind, , name] = id.split('/');
		return `${kind}/${name} is part of the applications ${nameOf(applicationKey(by))} and ${nameOf(key)}`;
	});
	const named = texts.slice(0, MAX_NAMED).join('; ');
	return texts.length > MAX_NAMED ? `${named}; and ${texts.length - MAX_NAMED} more` : named;
}

/** As commands name an application: by its name, and by its namespace where that is not the home of all. */
function nameOf(key: Key): string {
	const { namespace, name } = splitKey(key);
	return namespace === homeNamespace ? name : key;
}
