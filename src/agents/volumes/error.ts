/** A volume cannot be set up as it is; the message is what the event FailedMount says of it. */
export class VolumeError extends Error {
	override readonly name = 'VolumeError';
}
