import type * as core from 'kubernetes-types/core/v1.js';
import { age, column, kind } from '../declare.ts';
import type { Kind } from '../kind.ts';
import type { Persisted } from '../object.ts';
import { type FieldError, fieldError } from '../status.ts';
import { DATA_MAX, decodedLength, validateImmutable, validateKeys } from './key-values.ts';

export type Secret = Persisted<core.Secret>;

/** The annotation that says whose token a secret holds. */
const ACCOUNT = 'kubernetes.io/service-account.name';

/** Source: Kubernetes documentation, "Secrets", types of Secret. */
const requiredKeys: Readonly<Record<string, readonly string[]>> = {
	'kubernetes.io/dockercfg': ['.dockercfg'],
	'kubernetes.io/dockerconfigjson': ['.dockerconfigjson'],
	'kubernetes.io/ssh-auth': ['ssh-privatekey'],
	'kubernetes.io/tls': ['tls.crt', 'tls.key'],
};

/** Source: Kubernetes API reference, "Secret". */
export const Secret: Kind<Secret> = kind<Secret>({
	group: '',
	version: 'v1',
	kind: 'Secret',
	plural: 'secrets',
	schema: 'io.k8s.api.core.v1.Secret',
	selectableFields: { type: (secret) => secret.type ?? '' },
	columns: [
		column('Type', 'string', 'What the secret is for.', (secret) => secret.type ?? ''),
		column('Data', 'integer', 'How many entries there are.', (secret) => Object.keys(secret.data ?? {}).length),
		age,
	],
	defaults(secret) {
		secret.type ||= 'Opaque';
		takeText(secret);
	},
	prepare: takeText,
	validate(secret, old) {
		const errors: FieldError[] = [];
		validateKeys(secret.data, 'data', errors);
		let size = 0;
		for (const value of Object.values(secret.data ?? {})) size += decodedLength(value);
		if (size > DATA_MAX) errors.push(fieldError.tooLong('data', DATA_MAX));
		validateType(secret, errors);
		if (old && secret.type !== old.type)
			errors.push(fieldError.invalid('type', secret.type ?? '', 'field is immutable'));
		validateImmutable(secret, old, ['data'], errors);
		return errors;
	},
});

/** stringData is for writing only: its text goes into data, where it wins over what stands there. */
function takeText(secret: Secret): void {
	if (!secret.stringData) return;
	const data = Object.entries(secret.stringData).map(([key, text]) => [
		key,
		Buffer.from(text, 'utf8').toString('base64'),
	]);
	secret.data = { ...secret.data, ...Object.fromEntries(data) };
	delete secret.stringData;
}

function validateType(secret: Secret, errors: FieldError[]): void {
	const { type = '', data = {}, metadata } = secret;
	if (type === 'kubernetes.io/service-account-token' && !metadata.annotations?.[ACCOUNT])
		errors.push(fieldError.required(`metadata.annotations[${ACCOUNT}]`));
	if (type === 'kubernetes.io/basic-auth' && data.username === undefined && data.password === undefined) {
		errors.push(fieldError.required('data[username]'), fieldError.required('data[password]'));
	}
	for (const key of requiredKeys[type] ?? []) {
		const value = data[key];
		// The data of a TLS pair may be empty, and filled in later by whoever issues it.
		if (value === undefined || (value === '' && type !== 'kubernetes.io/tls'))
			errors.push(fieldError.required(`data[${key}]`));
		else if (key.startsWith('.docker') && !isJson(value))
			errors.push(fieldError.invalid(`data[${key}]`, '<secret contents redacted>', 'must be valid JSON'));
	}
}

function isJson(base64: string): boolean {
	try {
		JSON.parse(Buffer.from(base64, 'base64').toString('utf8'));
		return true;
	} catch {
		return false;
	}
}
