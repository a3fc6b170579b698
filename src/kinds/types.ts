/** The objects of the built-in kinds, as the API server returns them. */
import type * as apps from 'kubernetes-types/apps/v1.js';
import type * as coordination from 'kubernetes-types/coordination/v1.js';
import type * as core from 'kubernetes-types/core/v1.js';
import type * as discovery from 'kubernetes-types/discovery/v1.js';
import type { Persisted } from './object.ts';

export type Namespace = Persisted<core.Namespace>;
export type Node = Persisted<core.Node>;
export type Pod = Persisted<core.Pod>;
export type ReplicaSet = Persisted<apps.ReplicaSet>;
export type Deployment = Persisted<apps.Deployment>;
export type Service = Persisted<core.Service>;
export type Endpoints = Persisted<core.Endpoints>;
export type EndpointSlice = Persisted<discovery.EndpointSlice>;
export type ConfigMap = Persisted<core.ConfigMap>;
export type Secret = Persisted<core.Secret>;
export type ServiceAccount = Persisted<core.ServiceAccount>;
export type Event = Persisted<core.Event>;
export type Lease = Persisted<coordination.Lease>;
export type { Application } from './argoproj/types.ts';
