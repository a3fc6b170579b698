/** What must be known of the bytes of a DNS message to pass it on and to keep it. Source: RFC 1035, section 4. */

/** Where a name ends that begins at `at`; undefined where the message ends before it. */
export function nameEnd(message: Buffer, at: number): number | undefined {
	for (let place = at; place < message.length; ) {
		const length = message[place] ?? 0;
		if (length === 0) return place + 1;
		// A pointer is the end of a name.
		if (length >= 0xc0) return place + 2 <= message.length ? place + 2 : undefined;
		place += length + 1;
	}
	return undefined;
}

export interface RecordPlace {
	readonly section: 'answer' | 'authority' | 'additional';
	readonly type: number;
	/** Where its time to live stands, and its value in seconds. */
	readonly ttlAt: number;
	readonly ttl: number;
	/** Where its data ends. */
	readonly end: number;
}

/** The records of a whole message; undefined where it is not one. */
export function recordsOf(message: Buffer): RecordPlace[] | undefined {
	if (message.length < 12) return undefined;
	let at = 12;
	for (let question = 0; question < message.readUInt16BE(4); question++) {
		const end = nameEnd(message, at);
		if (end === undefined) return undefined;
		at = end + 4;
	}
	const records: RecordPlace[] = [];
	for (const [index, section] of (['answer', 'authority', 'additional'] as const).entries())
		for (let record = 0; record < message.readUInt16BE(6 + 2 * index); record++) {
			const head = nameEnd(message, at);
			if (head === undefined || head + 10 > message.length) return undefined;
			const end = head + 10 + message.readUInt16BE(head + 8);
			if (end > message.length) return undefined;
			const ttl = message.readUInt32BE(head + 4);
			records.push({ section, type: message.readUInt16BE(head), ttlAt: head + 4, ttl, end });
			at = end;
		}
	return records;
}

/** The message with another number. */
export function numbered(message: Buffer, id: number): Buffer {
	const copy = Buffer.from(message);
	copy.writeUInt16BE(id, 0);
	return copy;
}

/** The question of a message, whatever the letters' case: some resolvers change it. Undefined where the message has not exactly one. */
export function questionOf(message: Buffer): string | undefined {
	const end = message.length >= 12 && message.readUInt16BE(4) === 1 ? nameEnd(message, 12) : undefined;
	return end === undefined || end + 4 > message.length
		? undefined
		: message.toString('latin1', 12, end + 4).toLowerCase();
}

/** A message as TCP carries it: its length before it. */
export function framed(message: Buffer): Buffer {
	const length = Buffer.alloc(2);
	length.writeUInt16BE(message.length);
	return Buffer.concat([length, message]);
}
