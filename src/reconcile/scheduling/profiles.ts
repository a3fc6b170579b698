/** Which pods are the scheduler's to place, and how: by their schedulerName. Source: KubeSchedulerConfiguration, "profiles". */
import type { SchedulerConfig } from '../../kinds/index.ts';
import type { Strategy } from './rules/index.ts';

export const DEFAULT_NAME = 'default-scheduler';

/** The strategy of each scheduler name. */
export type Profiles = ReadonlyMap<string, Strategy>;

/** What flags say holds where the object says nothing else. */
export function profilesOf(config: SchedulerConfig | undefined, strategy: Strategy, name = DEFAULT_NAME): Profiles {
	const profiles = new Map([[name, strategy]]);
	for (const profile of config?.spec?.profiles ?? []) profiles.set(profile.schedulerName, profile.strategy ?? strategy);
	return profiles;
}
