/** Images as an engine keeps them. */

export interface Image {
	/** `sha256:...`. */
	readonly id: string;
	readonly tags: readonly string[];
	/** `repository@sha256:...`; empty for an image that never met a registry. */
	readonly digests: readonly string[];
	/** Bytes. */
	readonly size: number;
	/** User that its containers run as where nothing else is said; empty for root. */
	readonly user: string;
}

/** What containers of an image do where nothing else is said. */
export interface ImageConfig {
	readonly entrypoint?: readonly string[];
	readonly command?: readonly string[];
	readonly env?: Readonly<Record<string, string>>;
	readonly workingDir?: string;
}

export interface RegistryAuth {
	readonly username?: string;
	readonly password?: string;
	readonly identitytoken?: string;
	readonly serveraddress: string;
}

export interface ImageStore {
	inspect(reference: string): Promise<Image | undefined>;
	list(): Promise<readonly Image[]>;
	/** Fetches from the registry. Throws with the registry's words. */
	pull(reference: string, auth: RegistryAuth | undefined, signal?: AbortSignal): Promise<void>;
	/** Makes an image of one layer from a tar archive of its root. */
	load(reference: string, archive: Uint8Array, config: ImageConfig, signal?: AbortSignal): Promise<void>;
	/** How statuses name an image: by its digest in a repository where it has one, else by its id. */
	uri(id: string, digest: string | undefined): string;
	/** One that is gone already is no error. */
	remove(reference: string): Promise<void>;
}
