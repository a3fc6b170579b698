/** An error for the user: one line that says what was wrong, where, and what to do. Anything else that is thrown is a defect. */
export class UserError extends Error {
	override readonly name = 'UserError';
	/** The exit status of the command. */
	readonly exitCode: number;
	constructor(message: string, exitCode = 2) {
		super(message);
		this.exitCode = exitCode;
	}
}
