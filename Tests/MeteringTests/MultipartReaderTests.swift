import Testing

@testable import Metering

@Suite("A form is read in one way or not at all")
struct MultipartReaderTests {
    @Test func partsComeWithTheirNamesAndContents() throws {
        var form = FormBody()
        form.add("model", "whisper-1")
        form.add("empty", "")
        form.add(file: [0, 0x0d, 0x0a, 0x2d, 0x2d, 1])
        let parts = try #require(PartCollector.read(form.bytes, form.boundary))
        #expect(parts.map(\.part.name) == ["model", "empty", "file"])
        #expect(parts.map(\.part.isFile) == [false, false, true])
        #expect(parts.map(\.content) == [Array("whisper-1".utf8), [], [0, 0x0d, 0x0a, 0x2d, 0x2d, 1]])
        #expect(!parts.map(\.isOver).contains(false))
    }

    /// A proxy must not care where TCP cuts the upload; and content may look almost like a boundary.
    @Test func formsAreReadTheSameHoweverTheyComeIn() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var dice = SplitMix64(state: seed)
        let alphabet = Array("\r\n-b0\r\r\n".utf8)
        for round in 0..<300 {
            var form = FormBody(boundary: "b0")
            var contents: [[UInt8]] = []
            for _ in 0..<Int.random(in: 1...3, using: &dice) {
                var content = (0..<Int.random(in: 0...60, using: &dice)).map { _ in
                    alphabet[Int.random(in: 0..<alphabet.count, using: &dice)]
                }
                // Behind the blank line a boundary may follow at once, but not in the content.
                while PartCollector.holds("\r\n--b0", in: content + [0x0d, 0x0a]) || content.last == 0x0d {
                    content = Array(content.dropLast())
                }
                contents.append(content)
                form.add(head: "content-disposition:form-data;name=x\r\n", content)
            }
            let whole = PartCollector.read(form.bytes, form.boundary)
            #expect(whole?.map(\.content) == contents, "seed \(seed), round \(round)")
            for pieces in [1, 2, 3, 5, 16] {
                let cut = PartCollector.read(form.bytes, form.boundary, pieces: pieces)
                #expect(cut == whole, "seed \(seed), round \(round), by \(pieces)")
            }
        }
    }

    static let faults: [(why: String, body: String)] = [
        ("preamble", "x\r\n--b0\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--b0--\r\n"),
        ("epilogue", "--b0\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--b0--\r\nx"),
        ("blank behind a boundary", "--b0 \r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--b0--\r\n"),
        ("longer boundary", "--b0\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--b01\r\n--b0--\r\n"),
        ("no end", "--b0\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n"),
        ("no last dashes", "--b0\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--b0\r\n"),
        ("line feeds only", "--b0\nContent-Disposition: form-data; name=a\n\n1\n--b0--\n"),
        ("no name", "--b0\r\nContent-Disposition: form-data\r\n\r\n1\r\n--b0--\r\n"),
        ("empty name", "--b0\r\nContent-Disposition: form-data; name=\"\"\r\n\r\n1\r\n--b0--\r\n"),
        ("two names", "--b0\r\nContent-Disposition: form-data; name=a; name=b\r\n\r\n1\r\n--b0--\r\n"),
        (
            "extended name",
            "--b0\r\nContent-Disposition: form-data; name*=utf-8''a; name=b\r\n\r\n1\r\n--b0--\r\n"
        ),
        ("backslash", "--b0\r\nContent-Disposition: form-data; name=\"a\\\"; x=\"\r\n\r\n1\r\n--b0--\r\n"),
        ("attachment", "--b0\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n--b0--\r\n"),
        ("no disposition", "--b0\r\nContent-Type: text/plain\r\n\r\n1\r\n--b0--\r\n"),
        (
            "two dispositions",
            "--b0\r\nContent-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b\r\n\r\n1\r\n--b0--\r\n"
        ),
        ("folded line", "--b0\r\nContent-Disposition: form-data;\r\n name=a\r\n\r\n1\r\n--b0--\r\n"),
        (
            "encoded",
            "--b0\r\nContent-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64\r\n\r\nMQ==\r\n--b0--\r\n"
        ),
        ("long header", "--b0\r\nX: \(String(repeating: "x", count: 9000))\r\n\r\n1\r\n--b0--\r\n"),
        ("no part", "--b0--\r\n"), ("nothing", ""),
    ]

    @Test(arguments: Self.faults)
    func whatTwoProgramsCouldReadInTwoWaysIsRefused(_ fault: (why: String, body: String)) {
        for pieces in [Int.max, 1] {
            let parts = PartCollector.read(Array(fault.body.utf8), "b0", pieces: pieces)
            #expect(parts == nil || fault.why == "no part", "\(fault.why)")
        }
    }

    @Test func aFormHasABoundedNumberOfParts() {
        var form = FormBody()
        for _ in 0...MultipartReader.partsMax { form.add("x", "1") }
        #expect(PartCollector.read(form.bytes, form.boundary) == nil)
    }

    @Test(arguments: [
        "multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=b0",
        "multipart/form-data; boundary=a; boundary=b", "multipart/form-data; boundary=\"a\\\"b\"",
        "multipart/form-data; boundary=\"a \"", "multipart/form-data; boundary=a b", "application/json",
        "multipart/form-data; boundary=\(String(repeating: "x", count: 71))",
        "multipart/form-data; boundary=a;",
        "multipart/form-data, multipart/form-data; boundary=b0",
    ])
    func anUnclearBoundaryIsRefused(_ type: String) {
        Array(type.utf8).withUnsafeBytes { #expect(MultipartBoundary(contentType: $0) == nil) }
    }

    @Test(arguments: [
        "multipart/form-data; boundary=b0", "Multipart/Form-Data;Boundary=\"b0\"",
        "multipart/form-data; charset=utf-8; boundary=b0 ",
    ])
    func aPlainBoundaryIsRead(_ type: String) {
        Array(type.utf8).withUnsafeBytes {
            #expect(MultipartBoundary(contentType: $0)?.bytes == Array("b0".utf8))
        }
    }
}

extension PartCollector {
    static func holds(_ text: String, in bytes: [UInt8]) -> Bool {
        guard bytes.count >= text.utf8.count else { return false }
        let mark = Array(text.utf8)
        return (0...(bytes.count - mark.count)).contains { bytes[$0...].starts(with: mark) }
    }
}
