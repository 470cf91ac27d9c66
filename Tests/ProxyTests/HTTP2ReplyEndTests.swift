import NIOCore
import NIOHTTP2
import Testing

@testable import Proxy

/// END_STREAM goes with the piece that an exchange keeps back until its outcome is recorded, and never before it.
@Suite struct HTTP2ReplyEndTests {
    private static func ends(_ frames: [HTTP2Frame.FramePayload]?) -> [Bool]? {
        frames?.map { frame in
            switch frame {
            case .data(let data): data.endStream
            case .headers(let head): head.endStream
            default: false
            }
        }
    }

    @Test(arguments: [
        ("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabcde", "f"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n", "0\r\n\r\n"),
        ("", "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n"),
    ])
    func theStreamEndsWithTheLastPiece(first: String, last: String) throws {
        for cut in 0...first.utf8.count {
            var reply = HTTP2ReplyBytes()
            let bytes = Array(first.utf8)
            for piece in [bytes[..<cut], bytes[cut...]] {
                let frames = reply.frames(
                    for: ByteBuffer(bytes: piece), isHead: false, allocator: ByteBufferAllocator())
                #expect(try !#require(Self.ends(frames)).contains(true) && !reply.isComplete, "cut at \(cut)")
            }
            let frames = reply.frames(
                for: ByteBuffer(string: last), isHead: false, allocator: ByteBufferAllocator())
            #expect(Self.ends(frames)?.last == true && reply.isComplete)
        }
    }
}
