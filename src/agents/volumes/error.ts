/** A volume cannot be set up as it is; the message is what the event FailedMount says of it. */
export class VolumeError extends Error {
	override readonly name = 'VolumeError';
	/** What of setting it up failed, as the kubelet calls it. */
	readonly operation: string;
	constructor(message: string, operation = 'MountVolume.SetUp') {
		super(message);
		this.operation = operation;
	}
}
