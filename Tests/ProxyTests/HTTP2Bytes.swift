import NIOCore
import NIOEmbedded
import NIOHPACK
import NIOHTTP2

@testable import Proxy

/// Frames as bytes, for tests that say to the frame what comes when.
enum HTTP2Bytes {
    enum Kind: UInt8 {
        case data = 0
        case headers, priority, reset, settings, pushPromise, ping, goAway, windowUpdate, continuation
    }

    struct Frame: Equatable {
        let kind: Kind?
        let stream: Int
        let endsStream: Bool
    }

    static let endStream: UInt8 = 1
    static let endHeaders: UInt8 = 4
    static let ack: UInt8 = 1
    static let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

    static func frame(
        _ kind: Kind, flags: UInt8 = 0, stream: Int = 0, payload: ByteBuffer = ByteBuffer()
    ) -> ByteBuffer {
        var out = ByteBuffer()
        out.writeInteger(UInt8(payload.readableBytes >> 16))
        out.writeInteger(UInt16(truncatingIfNeeded: payload.readableBytes))
        out.writeInteger(kind.rawValue)
        out.writeInteger(flags)
        out.writeInteger(UInt32(stream))
        out.writeImmutableBuffer(payload)
        return out
    }

    static func settings(_ settings: [(UInt16, UInt32)] = []) -> ByteBuffer {
        var payload = ByteBuffer()
        for (id, value) in settings {
            payload.writeInteger(id)
            payload.writeInteger(value)
        }
        return self.frame(.settings, payload: payload)
    }

    static func goAway(after stream: Int) -> ByteBuffer {
        var payload = ByteBuffer()
        payload.writeInteger(UInt32(stream))
        payload.writeInteger(UInt32(0))
        return self.frame(.goAway, payload: payload)
    }

    /// Compressed with no table, so that blocks do not depend on each other.
    static func headers(_ fields: [(String, String)], stream: Int, endsStream: Bool = true) -> ByteBuffer {
        var list = HPACKHeaders()
        for (name, value) in fields { list.add(name: name, value: value, indexing: .neverIndexed) }
        var encoder = HPACKEncoder(allocator: ByteBufferAllocator(), maxDynamicTableSize: 0)
        var block = ByteBuffer()
        try? encoder.encode(headers: list, to: &block)
        return self.frame(
            .headers, flags: self.endHeaders | (endsStream ? self.endStream : 0), stream: stream,
            payload: block)
    }

    /// What a channel has written since it was last asked.
    static func written(by channel: EmbeddedChannel) throws -> [Frame] {
        var bytes = ByteBuffer()
        while let piece = try channel.readOutbound(as: IOData.self) {
            if case .byteBuffer(let piece) = piece { bytes.writeImmutableBuffer(piece) }
        }
        if bytes.getString(at: 0, length: self.preface.utf8.count) == self.preface {
            bytes.moveReaderIndex(forwardBy: self.preface.utf8.count)
        }
        var frames: [Frame] = []
        while let head = bytes.readBytes(length: 9) {
            let length = Int(head[0]) << 16 | Int(head[1]) << 8 | Int(head[2])
            bytes.moveReaderIndex(forwardBy: length)
            let kind = Kind(rawValue: head[3])
            let stream = head[5...].reduce(0) { $0 << 8 | Int($1) }
            frames.append(
                Frame(
                    kind: kind, stream: stream,
                    endsStream: (kind == .data || kind == .headers) && head[4] & self.endStream != 0))
        }
        return frames
    }
}
