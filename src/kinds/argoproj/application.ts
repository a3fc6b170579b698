import { kind } from '../declare.ts';
import type { Kind } from '../kind.ts';
import type * as types from '../types.ts';

export type Application = types.Application;

export const Application: Kind<Application> = kind<Application>({
	group: 'argoproj.io',
	version: 'v1alpha1',
	kind: 'Application',
	plural: 'applications',
	schema: 'io.argoproj.v1alpha1.Application',
	shortNames: ['app', 'apps'],
	generation: true,
	subresources: { status: true },
});
