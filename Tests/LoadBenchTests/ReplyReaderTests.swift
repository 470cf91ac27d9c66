import Testing

@testable import LoadBench

/// What a run says of a reply must not depend on where TCP cuts it.
@Suite struct ReplyReaderTests {
    private static let whole = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nconnection: keep-alive\r\n\r\nhello"
    private static let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nx-tollgate-on-disconnect: drain\r\n\r\n"
        + "C\r\ndata: {\"a\":1\r\n6;x=y\r\n}\n\ndat\r\n0b\r\na: [DONE]\n\n\r\n0\r\nTrailer: x\r\n\r\n"
    private static let interim =
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 402 Payment Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

    private func read(_ text: String, cut: Int) throws -> (ReplyReader, Bool) {
        var reader = ReplyReader(keepsTail: true)
        let bytes = Array(text.utf8)
        var isDone = try bytes[..<cut].withUnsafeBytes { try reader.feed($0) }
        if cut < bytes.count { isDone = try bytes[cut...].withUnsafeBytes { try reader.feed($0) } }
        return (reader, isDone)
    }

    @Test func aReplyIsTheSameForEverySplit() throws {
        for cut in 0...Self.whole.utf8.count {
            let (reader, isDone) = try self.read(Self.whole, cut: cut)
            #expect(
                isDone && reader.status == 200 && reader.bodyBytes == 5 && !reader.isLast, "cut at \(cut)")
            #expect(
                reader.tail == Array("hello".utf8) && reader.digest == 0xa430_d846_80aa_bd0b, "cut at \(cut)")
        }
        let body = "data: {\"a\":1}\n\ndata: [DONE]\n\n"
        for cut in 0...Self.chunked.utf8.count {
            let (reader, isDone) = try self.read(Self.chunked, cut: cut)
            #expect(isDone && reader.events == 2 && reader.drainsOnDisconnect, "cut at \(cut)")
            #expect(String(decoding: reader.tail, as: UTF8.self) == body, "cut at \(cut)")
        }
        for cut in 0...Self.interim.utf8.count {
            let (reader, isDone) = try self.read(Self.interim, cut: cut)
            #expect(isDone && reader.status == 402 && reader.isLast && reader.bodyBytes == 0, "cut at \(cut)")
        }
    }

    @Test func aReplyWithoutLengthEndsWithItsConnection() throws {
        var (reader, isDone) = try self.read("HTTP/1.1 200 OK\r\n\r\nhello", cut: 3)
        #expect(!isDone && reader.isLast)
        let isWhole = reader.close()
        #expect(isWhole && reader.bodyBytes == 5)
        var (cut, _) = try self.read("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", cut: 3)
        let isWholeToo = cut.close()
        #expect(!isWholeToo)
    }

    @Test(arguments: [
        ("SSH-2.0-x\r\n\r\n", ReplyFault.head), ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", .head),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", .framing),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc", .framing),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab", .behindTheEnd),
    ])
    func whatIsNoReplyIsAFault(_ text: String, _ fault: ReplyFault) {
        #expect(throws: fault) { try self.read(text, cut: 0) }
    }
}
