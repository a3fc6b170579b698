/** The registry of the kinds that every server has. */
import { builtins } from './builtins.generated.ts';
import { createRegistry, type Registry } from './registry.ts';
import { loadSchemas } from './schemas.ts';

/** The built-in kinds with their schemas, which are read when first asked for. Throws where set-up has not made them. */
export function loadRegistry(): Registry {
	const registry = createRegistry(builtins, {});
	return {
		all: registry.all,
		resource: registry.resource,
		of: registry.of,
		get schemas() {
			return loadSchemas();
		},
	};
}
