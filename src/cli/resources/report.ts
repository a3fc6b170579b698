/** What a command tells of the objects that it wrote: a line each, or the objects themselves. */
import type { Kind, KubeObject } from '../../kinds/index.ts';
import { formatObjects, nameOf, type ObjectFormat } from './print.ts';

export interface Reporter {
	/** `done` is the word after the name: `created`. */
	add(kind: Kind, object: KubeObject, done: string): void;
	/** Prints what had to wait for the others. */
	end(): void;
}

/** `remark` stands in brackets behind each line: `server dry run`. */
export function reporter(output: ObjectFormat | undefined, remark?: string): Reporter {
	const objects: KubeObject[] = [];
	return {
		add(kind, object, done) {
			const name = nameOf(kind, object.metadata.name);
			if (output === undefined) process.stdout.write(`${name} ${done}${remark ? ` (${remark})` : ''}\n`);
			else if (output === 'name') process.stdout.write(`${name}\n`);
			else objects.push(object);
		},
		end() {
			if ((output === 'yaml' || output === 'json') && objects.length > 0)
				process.stdout.write(`${formatObjects(objects, output)}\n`);
		},
	};
}
