/** References to images. Source: the grammar of the distribution project's package reference. */

/** Where an image without a registry comes from. */
const DOCKER_HUB = 'docker.io';

const COMPONENT = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const LABEL = '[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?';
const REFERENCE = new RegExp(
	`^(?<name>(?:(?:${LABEL}(?:\\.${LABEL})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?/)?${COMPONENT}(?:/${COMPONENT})*)` +
		`(?::(?<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(?<digest>[A-Za-z][A-Za-z0-9]*:[0-9a-fA-F]{32,}))?$`,
);

export interface Reference {
	/** As it was written, without tag and digest. */
	readonly name: string;
	/** `HOST` or `HOST:PORT`. */
	readonly registry: string;
	/** Within the registry: `library/busybox`. */
	readonly path: string;
	readonly tag?: string;
	readonly digest?: string;
}

/** The parts of a reference; undefined where it is none. */
export function parseReference(text: string): Reference | undefined {
	const groups = REFERENCE.exec(text)?.groups;
	const name = groups?.name;
	if (!name) return undefined;
	const slash = name.indexOf('/');
	const first = slash < 0 ? '' : name.slice(0, slash);
	const named = /[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase();
	const rest = named ? name.slice(slash + 1) : name;
	const path = !named && slash < 0 ? `library/${rest}` : rest;
	return { name, registry: named ? first : DOCKER_HUB, path, tag: groups?.tag, digest: groups?.digest };
}
