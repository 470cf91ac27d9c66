@testable import Metering

/// Builds and reads multipart forms for the tests.
struct FormBody {
    var boundary = "b0undary"
    private var text: [UInt8] = []

    init(boundary: String = "b0undary") { self.boundary = boundary }

    /// A form with a second of sound for a model.
    static func upload(_ fields: [(String, String)] = [], milliseconds: Int = 1000) -> FormBody {
        var form = FormBody()
        form.add("model", "whisper-1")
        for (name, value) in fields { form.add(name, value) }
        form.add(file: AudioFiles.wav(milliseconds: milliseconds))
        return form
    }

    mutating func add(_ name: String, _ value: String, header: String = "") {
        self.add(head: "Content-Disposition: form-data; name=\"\(name)\"\r\n\(header)", Array(value.utf8))
    }

    mutating func add(file: [UInt8], name: String = "file") {
        self.add(
            head:
                "Content-Disposition: form-data; name=\"\(name)\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n",
            file)
    }

    mutating func add(head: String, _ content: [UInt8]) {
        self.text += Array("--\(self.boundary)\r\n\(head)\r\n".utf8) + content + [0x0d, 0x0a]
    }

    var bytes: [UInt8] { self.text + Array("--\(self.boundary)--\r\n".utf8) }
    var contentType: String { "multipart/form-data; boundary=\(self.boundary)" }

    func inspect(as endpoint: InspectedEndpoint = .transcriptions) -> Result<
        InspectedRequest, RequestRejection
    > {
        Self.inspect(self.bytes, self.contentType, as: endpoint)
    }

    static func inspect(
        _ bytes: [UInt8], _ contentType: String, as endpoint: InspectedEndpoint = .transcriptions
    ) -> Result<InspectedRequest, RequestRejection> {
        Array(contentType.utf8).withUnsafeBytes { type in
            bytes.withUnsafeBytes { UploadInspector.inspect($0, contentType: type, as: endpoint) }
        }
    }
}

/// Notes what a reader tells.
struct PartCollector: MultipartVisitor {
    struct Part: Equatable {
        var part: MultipartPart
        var content: [UInt8] = []
        var isOver = false
    }

    var parts: [Part] = []

    mutating func begin(_ part: MultipartPart) { self.parts.append(Part(part: part)) }
    mutating func take(_ bytes: UnsafeRawBufferPointer) { self.parts[self.parts.count - 1].content += bytes }
    mutating func endPart() { self.parts[self.parts.count - 1].isOver = true }

    /// nil: the form has a fault.
    static func read(_ bytes: [UInt8], _ boundary: String, pieces: Int = .max) -> [Part]? {
        guard
            let boundary = Array("multipart/form-data; boundary=\"\(boundary)\"".utf8)
                .withUnsafeBytes({ MultipartBoundary(contentType: $0) })
        else { return nil }
        var reader = MultipartReader(boundary)
        var collector = PartCollector()
        var at = 0
        do {
            while at < bytes.count {
                let end = at + min(pieces, bytes.count - at)
                let piece = Array(bytes[at..<end])
                try piece.withUnsafeBytes { try reader.feed($0, &collector) }
                at = end
            }
            try reader.finish()
        } catch {
            return nil
        }
        return collector.parts
    }
}
