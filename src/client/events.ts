import type { KubeObject } from '../kinds/object.ts';

/** Writes Events as Kubernetes components do: the same event again counts up instead of making a new one. Never throws. */
export interface EventRecorder {
	event(about: KubeObject, type: 'Normal' | 'Warning', reason: string, message: string): void;
}
