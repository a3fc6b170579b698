/** The rules of probes and lifecycle handlers. Source: Kubernetes API reference, "Probe" and "LifecycleHandler". */
import type * as core from 'kubernetes-types/core/v1.js';
import { checkNonNegative, checkOneOf, checkPort, checkPortReference } from '../checks.ts';
import { type FieldError, fieldError } from '../status.ts';

type Handler = Pick<core.Probe, 'exec' | 'httpGet' | 'tcpSocket' | 'grpc'> & Pick<core.LifecycleHandler, 'sleep'>;

const probeHandlers = ['exec', 'httpGet', 'tcpSocket', 'grpc'] as const;
const lifecycleHandlers = ['exec', 'httpGet', 'tcpSocket', 'sleep'] as const;
/** A header name of HTTP: a token. */
const headerName = /^[-A-Za-z0-9]+$/;

export function validateProbes(
	container: Pick<core.Container, 'livenessProbe' | 'readinessProbe' | 'startupProbe'>,
	path: string,
	errors: FieldError[],
): void {
	validateProbe(container.livenessProbe, `${path}.livenessProbe`, true, errors);
	validateProbe(container.readinessProbe, `${path}.readinessProbe`, false, errors);
	validateProbe(container.startupProbe, `${path}.startupProbe`, true, errors);
	if (container.readinessProbe?.terminationGracePeriodSeconds !== undefined)
		errors.push(
			fieldError.invalid(
				`${path}.readinessProbe.terminationGracePeriodSeconds`,
				container.readinessProbe.terminationGracePeriodSeconds,
				'must not be set for readinessProbes',
			),
		);
}

export function validateLifecycle(lifecycle: core.Lifecycle | undefined, path: string, errors: FieldError[]): void {
	for (const moment of ['postStart', 'preStop'] as const) {
		const handler = lifecycle?.[moment];
		if (handler) validateHandler(handler, lifecycleHandlers, `${path}.${moment}`, errors);
	}
}

/** A probe that kills succeeds at once, or not at all. */
function validateProbe(probe: core.Probe | undefined, path: string, kills: boolean, errors: FieldError[]): void {
	if (!probe) return;
	validateHandler(probe, probeHandlers, path, errors);
	for (const field of [
		'initialDelaySeconds',
		'timeoutSeconds',
		'periodSeconds',
		'successThreshold',
		'failureThreshold',
	] as const)
		checkNonNegative(probe[field], `${path}.${field}`, errors);
	if (probe.terminationGracePeriodSeconds !== undefined && probe.terminationGracePeriodSeconds <= 0)
		errors.push(
			fieldError.invalid(
				`${path}.terminationGracePeriodSeconds`,
				probe.terminationGracePeriodSeconds,
				'must be greater than 0',
			),
		);
	if (kills && probe.successThreshold !== 1)
		errors.push(fieldError.invalid(`${path}.successThreshold`, probe.successThreshold ?? 0, 'must be 1'));
}

function validateHandler(
	handler: Handler,
	known: readonly (keyof Handler)[],
	path: string,
	errors: FieldError[],
): void {
	let found = 0;
	for (const type of known) {
		if (!handler[type]) continue;
		if (++found > 1) errors.push(fieldError.forbidden(`${path}.${type}`, 'may not specify more than 1 handler type'));
	}
	if (found === 0) errors.push(fieldError.required(path, 'must specify a handler type'));
	if (handler.exec && !handler.exec.command?.length) errors.push(fieldError.required(`${path}.exec.command`));
	if (handler.httpGet) validateHttp(handler.httpGet, `${path}.httpGet`, errors);
	if (handler.tcpSocket) checkPortReference(handler.tcpSocket.port, `${path}.tcpSocket.port`, errors);
	if (handler.grpc && known === probeHandlers) checkPort(handler.grpc.port, `${path}.grpc.port`, errors);
	if (handler.sleep && known === lifecycleHandlers)
		checkNonNegative(handler.sleep.seconds, `${path}.sleep.seconds`, errors);
}

function validateHttp(action: core.HTTPGetAction, path: string, errors: FieldError[]): void {
	if (!action.path) errors.push(fieldError.required(`${path}.path`));
	checkPortReference(action.port, `${path}.port`, errors);
	checkOneOf(action.scheme, `${path}.scheme`, ['HTTP', 'HTTPS'], errors);
	for (const [index, header] of (action.httpHeaders ?? []).entries())
		if (!headerName.test(header.name ?? ''))
			errors.push(
				fieldError.invalid(
					`${path}.httpHeaders[${index}].name`,
					header.name ?? '',
					"a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')",
				),
			);
}
