/** Docker's images. */
import type Docker from 'dockerode';
import type { ImageConfig, ImageStore } from '../image.ts';
import { imageUri, toImage } from './answers.ts';
import { lines } from './lines.ts';
import type { Requests } from './requests.ts';

export function dockerImages({ docker, call, find, dial }: Requests): ImageStore {
	return {
		async inspect(reference) {
			const image = await find(`inspect image ${reference}`, 'answerMs', (signal) =>
				dial<Docker.ImageInspectInfo>(`/images/${reference}/json`, signal),
			);
			return image && toImage(image);
		},
		async list() {
			const images = await call('list images', 'answerMs', (abortSignal) => docker.listImages({ abortSignal }));
			return images.map((image) => ({
				id: image.Id,
				tags: image.RepoTags ?? [],
				digests: image.RepoDigests ?? [],
				size: image.Size,
				user: '',
			}));
		},
		async pull(reference, auth, signal) {
			// Without a tag Docker fetches every tag of the repository.
			const name = /@|:[^/]*$/.test(reference) ? reference : `${reference}:latest`;
			await call(
				`pull image ${reference}`,
				'progressMs',
				async (abortSignal, alive) => {
					await finished(await docker.pull(name, { authconfig: auth, abortSignal }), alive);
				},
				signal,
			);
		},
		async load(reference, archive, config, signal) {
			const colon = reference.lastIndexOf(':');
			const options = {
				repo: reference.slice(0, colon),
				tag: reference.slice(colon + 1),
				changes: instructions(config),
			};
			await call(
				`import image ${reference}`,
				'changeMs',
				async (abortSignal, alive) => {
					const sent = { ...options, abortSignal } as object;
					await finished(await docker.importImage(Buffer.from(archive) as never, sent), alive);
				},
				signal,
			);
		},
		uri: imageUri,
		async remove(reference) {
			await find(`remove image ${reference}`, 'changeMs', (abortSignal) =>
				docker.getImage(reference).remove({ abortSignal }),
			);
		},
	};
}

/** An image's configuration as instructions of a Dockerfile, which is how an import takes it. */
function instructions({ entrypoint, command, env = {}, workingDir }: ImageConfig): string[] {
	return [
		...(entrypoint ? [`ENTRYPOINT ${JSON.stringify(entrypoint)}`] : []),
		...(command ? [`CMD ${JSON.stringify(command)}`] : []),
		...Object.entries(env).map(([name, value]) => `ENV ${name}=${value}`),
		...(workingDir ? [`WORKDIR ${workingDir}`] : []),
	];
}

/** Consumes a progress stream. Throws what it reports as an error. */
async function finished(progress: NodeJS.ReadableStream, alive: () => void): Promise<void> {
	for await (const line of lines(progress)) {
		alive();
		const { error } = JSON.parse(line) as { error?: string };
		if (error) throw new Error(error);
	}
}
