/** The wire format of Protocol Buffers: fields of a message, one after the other. Source: protobuf.dev, "Encoding". */

/** A field: its number and its value, a number of up to 64 bits or a run of bytes. */
export type Field =
	| { readonly number: number; readonly type: 'varint'; readonly value: bigint }
	| { readonly number: number; readonly type: 'fixed'; readonly bytes: Uint8Array }
	| { readonly number: number; readonly type: 'bytes'; readonly bytes: Uint8Array };

/** The fields of a message. Throws RangeError for bytes that are none. */
export function* fieldsOf(message: Uint8Array): Generator<Field> {
	let at = 0;
	const varint = (): bigint => {
		let value = 0n;
		for (let shift = 0n; shift < 70n; shift += 7n) {
			const byte = message[at++];
			if (byte === undefined) throw new RangeError('the message ends in the middle of a number');
			value |= BigInt(byte & 0x7f) << shift;
			if (byte < 0x80) return BigInt.asUintN(64, value);
		}
		throw new RangeError('a number has more than ten bytes');
	};
	const run = (length: number): Uint8Array => {
		if (length > message.length - at) throw new RangeError('the message ends in the middle of a field');
		at += length;
		return message.subarray(at - length, at);
	};
	while (at < message.length) {
		const tag = Number(varint());
		const number = Math.floor(tag / 8);
		if (number === 0) throw new RangeError('a field has the number 0');
		switch (tag % 8) {
			case 0:
				yield { number, type: 'varint', value: varint() };
				break;
			case 1:
				yield { number, type: 'fixed', bytes: run(8) };
				break;
			case 2:
				yield { number, type: 'bytes', bytes: run(Number(varint())) };
				break;
			case 5:
				yield { number, type: 'fixed', bytes: run(4) };
				break;
			default:
				throw new RangeError(`a field has the unknown wire type ${tag % 8}`);
		}
	}
}

export const textOf = (bytes: Uint8Array): string =>
	Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();

/** A field of bytes, text or a message. */
export function bytesField(number: number, value: string | Uint8Array): Uint8Array {
	const bytes = typeof value === 'string' ? Buffer.from(value) : value;
	return Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes]);
}

/** A field of a number that is no less than 0, or of a truth value. */
export const numberField = (number: number, value: number): Uint8Array =>
	Buffer.concat([varint(number * 8), varint(value)]);

function varint(value: number): Uint8Array {
	const bytes: number[] = [];
	let rest = value;
	while (rest >= 0x80) {
		bytes.push((rest % 0x80) | 0x80);
		rest = Math.floor(rest / 0x80);
	}
	bytes.push(rest);
	return Buffer.from(bytes);
}
