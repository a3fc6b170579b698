/** Who does not read what is for him is cut off, whichever version of HTTP it goes over: it would be kept here for as long as he likes. */
import { constants, type Http2SecureServer, type Http2Stream, type ServerHttp2Session } from 'node:http2';
import { Socket } from 'node:net';

/** Cuts off what goes on without progress for `after` ms, or a little more, although something is there to be read. An answer that is still to come is waited for. */
export function cutOffUnread(server: Http2SecureServer, after: number): void {
	// Node calls this where nothing has moved for that long, and then ends nothing by itself.
	server.setTimeout(after, (connection?: Socket | ServerHttp2Session) => {
		if (!(connection instanceof Socket)) return;
		// Another time than ours is that for which an idle connection is kept.
		if (connection.timeout !== after || connection.writableLength > 0) connection.destroy();
	});
	cutOffStreams(server, after);
}

/**
 * A client of HTTP/2 may read its connection, and leave unread what comes on one stream; or read nothing at all. Node's own timer of
 * a stream ends when all of it has been handed to the connection, which may keep it.
 */
function cutOffStreams(server: Http2SecureServer, after: number): void {
	/** The streams that are open, and how much was left of each at the last look. */
	const streams = new Map<Http2Stream, number>();
	server.on('stream', (stream) => {
		streams.set(stream, 0);
		stream.once('close', () => streams.delete(stream));
	});
	// It holds no process: a server that could not listen has nothing that ends it.
	const look = setInterval(() => {
		for (const [stream, before] of streams) {
			const left = stream.writableLength;
			streams.set(stream, left);
			if (left === 0 || left !== before) continue;
			// One that was reset, and is still there, is of a connection that does not read even that.
			if (stream.closed) stream.session?.destroy();
			else stream.close(constants.NGHTTP2_CANCEL);
		}
	}, after).unref();
	server.once('close', () => clearInterval(look));
}
