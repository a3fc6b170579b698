/** Who does not read what is for him is cut off, whichever version of HTTP it goes over: it would be kept here for as long as he likes. */
import { constants, type Http2SecureServer, type ServerHttp2Session } from 'node:http2';
import { Socket } from 'node:net';

/** Cuts off what goes on without any progress for `after` ms although something is there to be read. An answer that is still to come is waited for. */
export function cutOffUnread(server: Http2SecureServer, after: number): void {
	// Node calls this where nothing has moved for that long, and then ends nothing by itself.
	server.setTimeout(after, (connection?: Socket | ServerHttp2Session) => {
		if (!(connection instanceof Socket)) return;
		// Another time than ours is that for which an idle connection is kept.
		if (connection.timeout !== after || connection.writableLength > 0) connection.destroy();
	});
	// A client of HTTP/2 may read its connection, and leave unread what comes on one stream.
	server.on('stream', (stream) => {
		stream.setTimeout(after, () => {
			if (stream.writableEnded || stream.writableLength > 0) stream.close(constants.NGHTTP2_CANCEL);
		});
	});
}
