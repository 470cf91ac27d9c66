import Foundation
import Metering

/// An encoding that a test can make: all bytes, and `aa` and `aaaa`.
enum SmallEncodings {
    static func tables() throws -> EncodingTables {
        let bytes = (UInt8.min...UInt8.max).enumerated().map { "\(Data([$1]).base64EncodedString()) \($0)\n" }
        let vocabulary = Array((bytes.joined() + "YWE= 256\nYWFhYQ== 257\n").utf8)
        return EncodingTables([
            try TokenTable(copying: TokenTableBuilder.build(.o200kBase, vocabulary: vocabulary))
        ])
    }
}
