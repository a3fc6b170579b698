/** Why a metric says nothing, in the words of Kubernetes: the message is for people. */
export class Unmeasured extends Error {
	override readonly name = 'Unmeasured';
}
