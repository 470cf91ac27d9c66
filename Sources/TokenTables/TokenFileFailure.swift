import Glibc
import Metering

/// Why a vocabulary or a table could not be read or written.
public struct TokenFileFailure: Error, CustomStringConvertible {
    public let kind: Kind
    public let path: String

    public enum Kind: Sendable, Hashable {
        /// A call failed, with its `errno`.
        case open(Int32)
        case read(Int32)
        case write(Int32)
        case synchronize(Int32)
        case rename(Int32)
        case map(Int32)
        /// Not the vocabulary that OpenAI published.
        case wrongVocabulary(TokenEncoding)
        case vocabulary(TokenVocabularyFault)
        case table(TokenTableFault)
        /// A good table, of another encoding.
        case wrongEncoding(TokenEncoding)
    }

    init(_ kind: Kind, _ path: String) {
        self.kind = kind
        self.path = path
    }

    public var description: String {
        switch self.kind {
        case .open(let code): "\(self.path) cannot be opened: \(Self.text(code))"
        case .read(let code): "\(self.path) cannot be read: \(Self.text(code))"
        case .write(let code): "\(self.path) cannot be written: \(Self.text(code))"
        case .synchronize(let code): "\(self.path) cannot be brought to disk: \(Self.text(code))"
        case .rename(let code): "\(self.path) cannot be given its name: \(Self.text(code))"
        case .map(let code): "\(self.path) cannot be mapped: \(Self.text(code))"
        case .wrongVocabulary(let encoding):
            "\(self.path) is not the vocabulary of \(encoding.name): its SHA-256 is another"
        case .vocabulary(let fault): "\(self.path) is no vocabulary: \(fault)"
        case .table(let fault): "\(self.path) is no table of tokens: \(fault); build it anew"
        case .wrongEncoding(let encoding): "\(self.path) is a table of \(encoding.name)"
        }
    }

    private static func text(_ code: Int32) -> String { String(cString: strerror(code)) }
}
