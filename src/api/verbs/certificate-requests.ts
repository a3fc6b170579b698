/**
 * Who asks for a certificate is who makes the request: what the request says of that itself counts for nothing.
 * Source: Kubernetes API reference, CertificateSigningRequestSpec, username, uid, groups and extra.
 */
import { isObject } from '../json.ts';
import type { AdmissionPlugin } from './admission.ts';

export const certificateRequests: AdmissionPlugin = {
	name: 'CertificateRequester',
	handles: ({ operation, kind, subresource }) =>
		operation === 'CREATE' &&
		subresource === undefined &&
		kind.group === 'certificates.k8s.io' &&
		kind.plural === 'certificatesigningrequests',
	mutate({ object, caller }) {
		if (!isObject(object?.spec)) return 'nothing';
		const { name: username, uid, groups, extra } = caller;
		const { username: _, uid: _uid, groups: _groups, extra: _extra, ...spec } = object.spec;
		object.spec = { ...spec, username, groups: [...groups], ...(uid && { uid }), ...(extra && { extra }) };
		return 'filled';
	},
};
