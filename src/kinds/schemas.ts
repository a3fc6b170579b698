/** The schemas of the built-in kinds that set-up generates (scripts/generate-schema.ts). */
import { readFileSync } from 'node:fs';
import type { Schemas } from './schema.ts';

/** Where scripts/generate-schema.ts writes. */
export const schemaFile = new URL('./schemas.generated.json', import.meta.url);

let loaded: Schemas | undefined;

/** All schemas; parsed once, when first asked for. Throws an error that says what to run where set-up has not made them. */
export function loadSchemas(): Schemas {
	loaded ??= parse();
	return loaded;
}

function parse(): Schemas {
	let text: string;
	try {
		text = readFileSync(schemaFile, 'utf8');
	} catch (cause) {
		throw new Error(
			`the schemas of the built-in kinds (${schemaFile.pathname}) cannot be read; run \`node scripts/generate-schema.ts\` to make them`,
			{ cause },
		);
	}
	return (JSON.parse(text) as { schemas: Schemas }).schemas;
}
