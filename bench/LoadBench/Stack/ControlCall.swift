import Foundation
import Glibc

/// Blocking calls over one kept connection to a server of ours on 127.0.0.1; for one thread. Not for load.
public final class ControlCall {
    private let port: Int
    private let timeoutSeconds: Int
    private var descriptor: Int32?
    /// Its connection has answered before, so that its end without a byte is the server's idle time-out.
    private var isUsed = false

    public init(port: Int, timeoutSeconds: Int = 30) {
        self.port = port
        self.timeoutSeconds = timeoutSeconds
    }

    deinit { self.disconnect() }

    public func get(_ path: String, bearer: String? = nil) throws(StackError) -> ControlReply {
        try self.send("GET", path, bearer: bearer, body: nil)
    }

    /// - Parameter json: a whole document.
    public func post(_ path: String, bearer: String? = nil, json: String) throws(StackError) -> ControlReply {
        try self.send("POST", path, bearer: bearer, body: json)
    }

    static func document(_ value: some Encodable) throws(StackError) -> String {
        do {
            return String(decoding: try JSONEncoder().encode(value), as: UTF8.self)
        } catch {
            throw .call(what: "JSON of \(type(of: value))", reason: "\(error)")
        }
    }

    private func send(
        _ method: String, _ path: String, bearer: String?, body: String?
    ) throws(StackError) -> ControlReply {
        let request = self.request(method, path, bearer: bearer, body: body)
        let what = "\(method) \(path) on port \(self.port)"
        let wasUsed = self.isUsed
        if let reply = try self.exchange(request, what) { return reply }
        // The server closed a kept connection before it saw the request; a fresh one has no such excuse.
        if wasUsed, let reply = try self.exchange(request, what) { return reply }
        throw .call(what: what, reason: "the connection ended without an answer")
    }

    private func request(_ method: String, _ path: String, bearer: String?, body: String?) -> [UInt8] {
        var head = "\(method) \(path) HTTP/1.1\r\nHost: 127.0.0.1:\(self.port)\r\n"
        if let bearer { head += "Authorization: Bearer \(bearer)\r\n" }
        if let body { head += "Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n" }
        return Array((head + "\r\n" + (body ?? "")).utf8)
    }

    /// nil: the connection ended without a byte.
    private func exchange(_ request: [UInt8], _ what: String) throws(StackError) -> ControlReply? {
        let socket = try self.connected(what)
        guard self.write(request, to: socket) else {
            self.disconnect()
            return nil
        }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(socket, &buffer, buffer.count, 0)
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN {
                self.disconnect()
                throw .call(what: what, reason: "no answer within \(self.timeoutSeconds) s")
            }
            if count <= 0, bytes.isEmpty {
                self.disconnect()
                return nil
            }
            if count > 0 { bytes += buffer[..<count] }
            if let reply = try self.parse(bytes, isEnd: count <= 0, what) { return reply }
        }
    }

    private func parse(_ bytes: [UInt8], isEnd: Bool, _ what: String) throws(StackError) -> ControlReply? {
        do {
            guard let reply = try ControlReplyParser.parse(bytes, isEnd: isEnd) else { return nil }
            self.isUsed = true
            if reply.isLast { self.disconnect() }
            return reply
        } catch {
            self.disconnect()
            throw .call(what: what, reason: "not an HTTP reply (\(error))")
        }
    }

    private func connected(_ what: String) throws(StackError) -> Int32 {
        if let descriptor { return descriptor }
        guard let fresh = LoopbackPort.connect(self.port, timeoutSeconds: self.timeoutSeconds) else {
            throw .call(what: what, reason: "nobody listens")
        }
        self.descriptor = fresh
        return fresh
    }

    private func write(_ bytes: [UInt8], to socket: Int32) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            if count <= 0 { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    private func disconnect() {
        if let descriptor { close(descriptor) }
        (self.descriptor, self.isUsed) = (nil, false)
    }
}
