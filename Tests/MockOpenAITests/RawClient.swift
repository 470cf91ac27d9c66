import Dispatch
import Foundation
import MockOpenAI
import NIOPosix
import Synchronization

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// A blocking socket that sees what the wire carries, without any HTTP library between.
final class RawClient {
    enum End: Equatable { case closed, reset, silence }

    private let descriptor: Int32
    private var isOpen = true

    init(port: Int) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw POSIXError(.ECONNREFUSED) }
    }

    deinit { close() }

    func close() {
        if isOpen { _ = Glibc.close(descriptor) }
        isOpen = false
    }

    func send(_ text: String) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let sent = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard sent > 0 else { return }
            bytes = bytes.dropFirst(sent)
        }
    }

    /// The next bytes; empty at the end, nil when nothing came for `milliseconds` or the peer reset.
    func receive(milliseconds: Int32, end: inout End?) -> [UInt8] {
        var poller = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        var ready: Int32
        repeat { ready = poll(&poller, 1, milliseconds) } while ready < 0 && errno == EINTR
        guard ready > 0 else {
            end = .silence
            return []
        }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        if count == 0 { end = .closed }
        if count < 0 { end = .reset }
        return Array(buffer.prefix(max(0, count)))
    }

    /// Everything until the peer closes, resets, or is silent for `milliseconds`.
    func readToEnd(milliseconds: Int32 = 60_000) -> (bytes: [UInt8], end: End) {
        var all: [UInt8] = []
        var end: End?
        while end == nil { all += receive(milliseconds: milliseconds, end: &end) }
        return (all, end ?? .silence)
    }

    /// Reads until `text` came, or the end.
    func read(until text: String, milliseconds: Int32 = 60_000) -> String {
        var all: [UInt8] = []
        var end: End?
        while end == nil, !String(decoding: all, as: UTF8.self).contains(text) {
            all += receive(milliseconds: milliseconds, end: &end)
        }
        return String(decoding: all, as: UTF8.self)
    }
}

/// One parsed reply.
struct RawReply {
    var status: Int
    var head: String
    /// De-chunked.
    var body: [UInt8]
    /// Chunked: the last chunk came. Content-length: all of it came. Else: true.
    var isWhole: Bool
    var end: RawClient.End

    var text: String { String(decoding: body, as: UTF8.self) }
    var json: [String: Any] {
        ((try? JSONSerialization.jsonObject(with: Data(body))) as? [String: Any]) ?? [:]
    }
    var error: [String: Any] { json["error"] as? [String: Any] ?? [:] }
    var usage: [String: Any]? { json["usage"] as? [String: Any] }

    /// Contents of the `data:` lines.
    var frames: [String] {
        text.replacingOccurrences(of: "\r\n", with: "\n").replacingOccurrences(of: "\r", with: "\n")
            .components(separatedBy: "\n").filter { $0.hasPrefix("data: ") }.map { String($0.dropFirst(6)) }
    }
    var chunks: [[String: Any]] {
        frames.compactMap { (try? JSONSerialization.jsonObject(with: Data($0.utf8))) as? [String: Any] }
    }
    /// Content of the deltas, joined; nil entries (roles, finishes) skipped.
    var deltas: [String] {
        chunks.flatMap { $0["choices"] as? [[String: Any]] ?? [] }
            .compactMap { ($0["delta"] as? [String: Any])?["content"] as? String }.filter { !$0.isEmpty }
    }

    func header(_ name: String) -> String? {
        for line in head.components(separatedBy: "\r\n") where line.lowercased().hasPrefix(name + ":") {
            return line.dropFirst(name.count + 1).trimmingCharacters(in: .whitespaces)
        }
        return nil
    }

    init(_ bytes: [UInt8], _ end: RawClient.End) {
        self.end = end
        let separator = Array("\r\n\r\n".utf8)
        let split = bytes.firstRange(of: separator)?.lowerBound ?? bytes.count
        head = String(decoding: bytes[..<split], as: UTF8.self)
        status = Int(head.split(separator: " ").dropFirst().first ?? "") ?? 0
        var rest = Array(bytes.dropFirst(split + 4))
        isWhole = true
        body = rest
        if header("transfer-encoding") == "chunked" {
            body = []
            isWhole = false
            while let line = rest.firstRange(of: Array("\r\n".utf8)) {
                let size = Int(String(decoding: rest[..<line.lowerBound], as: UTF8.self), radix: 16) ?? 0
                if size == 0 {
                    isWhole = true
                    break
                }
                body += rest[line.upperBound...].prefix(size)
                rest = Array(rest.dropFirst(line.upperBound + size + 2))
            }
        } else if let length = header("content-length") {
            isWhole = body.count == Int(length)
        }
    }
}

/// `RawClient` blocks. On a thread of its own it takes none from the tests beside it, which have deadlines.
private final class BlockingThread: TaskExecutor {
    private static let threads = (0..<8).map { BlockingThread(number: $0) }
    private static let taken = Atomic(0)

    static func next() -> BlockingThread {
        self.threads[self.taken.wrappingAdd(1, ordering: .relaxed).oldValue % self.threads.count]
    }

    private let queue: DispatchQueue

    private init(number: Int) { self.queue = DispatchQueue(label: "mock client \(number)") }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        self.queue.async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}

/// A mock of its own for one test, shut down at its end.
func withMock(
    _ adjust: (inout MockOpenAIServer.Configuration) -> Void = { _ in },
    _ body: (MockOpenAIServer) async throws -> Void
) async throws {
    var configuration = MockOpenAIServer.Configuration()
    adjust(&configuration)
    let mock = try await MockOpenAIServer.start(configuration, on: MultiThreadedEventLoopGroup.singleton)
    do {
        try await withTaskExecutorPreference(BlockingThread.next()) { try await body(mock) }
    } catch {
        try await mock.shutdown()
        throw error
    }
    try await mock.shutdown()
}

extension MockOpenAIServer {
    func exchange(_ request: String, milliseconds: Int32 = 60_000) throws -> RawReply {
        let client = try RawClient(port: port)
        client.send(request)
        let (bytes, end) = client.readToEnd(milliseconds: milliseconds)
        return RawReply(bytes, end)
    }

    func chat(
        _ text: String, model: String = "gpt-4o-mini", stream: Bool = false, usage: Bool = true,
        extra: String = "",
        milliseconds: Int32 = 60_000
    ) throws -> RawReply {
        try exchange(
            request(Self.body(text, model: model, stream: stream, usage: usage, extra: extra)),
            milliseconds: milliseconds)
    }

    static func body(
        _ text: String, model: String = "gpt-4o-mini", stream: Bool = false, usage: Bool = true,
        extra: String = ""
    ) -> String {
        let streaming =
            stream ? ",\"stream\":true" + (usage ? ",\"stream_options\":{\"include_usage\":true}" : "") : ""
        return
            """
            {"model":"\(model)"\(streaming)\(extra),"messages":[{"role":"user",\
            "content":"\(text)"}]}
            """
    }

    func request(_ body: String, close: Bool = true) -> String {
        """
        POST /v1/chat/completions HTTP/1.1\r\nHost: mock\r\nAuthorization: Bearer sk-test\r\n\
        Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\
        \(close ? "Connection: close\r\n" : "")\r\n\(body)
        """
    }

    var rows: [[String: Any]] {
        logLines.compactMap { (try? JSONSerialization.jsonObject(with: Data($0.utf8))) as? [String: Any] }
    }

    /// The last row, waiting for a row to arrive: an exchange ends when the mock notices that its peer is
    /// gone.
    func row(_ count: Int = 1) async throws -> [String: Any] {
        for _ in 0..<500 where rows.count < count { try await Task.sleep(for: .milliseconds(10)) }
        return rows.last ?? [:]
    }
}

extension [String: Any] {
    func int(_ path: String...) -> Int? {
        var value: Any? = self
        for key in path { value = (value as? [String: Any])?[key] }
        return (value as? NSNumber)?.intValue
    }
    func string(_ key: String) -> String? { self[key] as? String }
}
