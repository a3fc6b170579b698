/** Every limit of the API server, in one place. Where Kubernetes documents a figure, it is that figure. */

import { MAX_CHANGE_BYTES } from '../store/index.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const seconds = 1000;
const minutes = 60 * seconds;

export const limits = {
	/** Largest request body in bytes (Kubernetes: 3 MiB). */
	body: 3 * MiB,
	/** Largest stored object in bytes: what a commit of the store takes, less room for its key and what it claims. */
	object: MAX_CHANGE_BYTES - 8 * KiB,
	/** Deepest nesting of objects and arrays in a body. */
	depth: 128,
	/** Unknown and doubled fields of a body that are told (Kubernetes: 100), and characters of all warnings of one answer (Kubernetes: 4 KiB). */
	strictErrors: 100,
	warnings: 4 * KiB,
	/** Tokens (names, values, marks, spaces, line ends) of a body in YAML, of which a line has about eight. JSON has no such limit. */
	yamlTokens: 200_000,
	/** Aliases that a body in YAML may resolve. */
	yamlAliases: 100,
	/** Operations of one JSON patch (Kubernetes: 10,000). */
	patchOperations: 10_000,
	/** Bytes of JSON that the `copy` operations of one JSON patch may add together, each of which may double what is there (Kubernetes: 3 MiB). */
	patchCopies: 3 * MiB,
	/** Items of lists that one JSON patch may shift by insertions and removals. */
	patchShifts: 100_000_000,
	/** Seats for requests in work, without watches and streams; the others wait for them (Kubernetes: 400, and 200 for writes). */
	requests: 400,
	/** How much of what its level can have one flow may use, in percent: the rest is for others, however long its requests last. */
	flowPart: 50,
	/**
	 * Requests of one flow that may wait (Kubernetes: 50 a queue), those of one priority level, and how long (ms) one waits
	 * (Kubernetes: a quarter of the time of a request). More are answered with 429.
	 */
	flowQueue: 50,
	levelQueue: 1_000,
	queueWait: 15 * seconds,
	/** A request takes a seat for so many objects that it goes through, and so many seats at most (both as Kubernetes). */
	seatObjects: 100,
	widest: 10,
	/**
	 * Open watches and streams of the whole server, of which each level and each flow have the same part as of the seats: what
	 * nodes can have is enough for a thousand of them, each with those of what its pods name.
	 */
	watches: 60_000,
	/**
	 * Changes that a kind remembers for its watchers, and their bytes. One that falls behind further is answered with 410. Those
	 * older than `changeAge` (ms) are forgotten, but for the last `changesLeast`. (Kubernetes: 102,400 changes, 75 s.)
	 */
	changes: 102_400,
	changeBytes: 64 * MiB,
	changeAge: 75 * seconds,
	changesLeast: 1_024,
	/** What of it is kept apart for the watchers of one object, or of those that have a field in common. Further back they read all of the kind. */
	feedChanges: 1_024,
	feedBytes: 1 * MiB,
	/** Events handed to a watcher in one batch. */
	batch: 512,
	/** How long (ms) a client may leave unread what waits for it; it is cut off then. */
	watchStall: 30 * seconds,
	/** Bookmarks are sent after this time (ms) at the latest: before `changeAge`, so that a quiet watch can resume. */
	bookmark: 1 * minutes,
	/** Bytes of the stored objects that are kept parsed although nobody may need them again. */
	parsed: 32 * MiB,
	/** How long (ms) a read waits for the cache to reach the revision it needs. */
	freshness: 3 * seconds,
	/** After this (ms) without progress of the cache, the server writes a mark to the store to make its watch move. */
	progress: 100,
	/** How often an update is tried again when another writer came first. */
	conflicts: 16,
	/** Entries in one page when the cache loads. */
	page: 1_000,
	/** Events are removed when they are older than this (ms). */
	eventAge: 60 * minutes,
	/** Answers larger than this are compressed where the client allows it (Kubernetes: 128 KiB). */
	gzip: 128 * KiB,
	/** Bytes written to a socket in one piece of a large list, and how long (ms) one is made before other work has its turn. */
	chunk: 512 * KiB,
	slice: 8,
	/** Fields and items of an object that is answered in blocks of YAML, each of which takes some microseconds; ten lines of a text count as one. A larger one is answered as JSON, which is YAML too. */
	yamlParts: 5_000,
	/** Time (ms) for the headers, and for the whole request. */
	headers: 20 * seconds,
	request: 60 * seconds,
	/** Time (ms) an idle connection is kept. */
	keepAlive: 65 * seconds,
	/** Bytes of all request headers. */
	headerBytes: 64 * KiB,
	/** Requests at once on one connection of HTTP/2 (Go's servers: 250). */
	streams: 250,
	/** Bytes that may come on one of its streams, and on all together, before they are read. */
	streamWindow: 256 * KiB,
	connectionWindow: 1 * MiB,
	/** Memory of one connection of HTTP/2 in MiB, above all of what its client has not yet read: a chunk for half of its streams. */
	connectionMemory: 64,
	/** Requests that a client may take back at once on one connection of HTTP/2, and a second in the long run. */
	resetBurst: 1_000,
	resetRate: 33,
	/** A watch without timeoutSeconds ends after 30 to 60 minutes (ms), as the reference API server does it. */
	watchMin: 30 * minutes,
	/** Time (ms) to connect to a node's agent. */
	agentConnect: 10 * seconds,
	/** Time (ms) for an agent's figures, their characters, and nodes whose figures are read at once. */
	figures: 5 * seconds,
	figuresSize: 32 * MiB,
	nodesRead: 16,
	/** Time (ms) for a call of a storage driver, which has 120 s itself, and characters of its answer. */
	driverCall: 130 * seconds,
	driverAnswer: 8 * MiB,
	/** Characters of an agent's error that are read, and told. */
	agentError: 64 * 1024,
	/** Time (ms) that open requests get when the server closes. */
	drain: 5 * seconds,
} as const;
