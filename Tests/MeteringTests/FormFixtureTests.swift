import Foundation
import Testing

@testable import Metering

/// Forms in `Tests/Fixtures/forms` as Python's HTTP clients write them: the type in the first line, then the body.
@Suite("Forms of common clients are read") struct FormFixtureTests {
    @Test(arguments: ["requests", "requests-name", "toolbelt", "httpx", "aiohttp"])
    func whatClientsWriteIsRead(_ client: String) throws {
        let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let bytes = [UInt8](try Data(contentsOf: tests.appending(path: "Fixtures/forms/\(client).form")))
        let line = try #require(bytes.firstIndex(of: 0x0a))
        let type = String(decoding: bytes[..<line], as: UTF8.self)
        let request = try FormBody.inspect(Array(bytes[(line + 1)...]), type).get()
        #expect(request.model == "whisper-1" && request.replyIsOpaque)
        #expect(request.inputMilliseconds == 1000 && request.textBytes == "h\u{e9}llo".utf8.count)
    }
}
