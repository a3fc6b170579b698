/** The registry of the kinds that every server has. */
import { builtins } from './builtins.generated.ts';
import { createRegistry, type OpenRegistry } from './registry.ts';
import { loadSchemas } from './schemas.ts';

/** The built-in kinds with their schemas, which are read when first asked for. Throws where set-up has not made them. */
export const loadRegistry = (): OpenRegistry => createRegistry(builtins, loadSchemas);
