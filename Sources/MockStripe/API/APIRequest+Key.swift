import Foundation

extension APIRequest {
    /// The API key, from Bearer or as the user name of Basic authorization.
    var presentedKey: String? {
        guard let words = self.authorization?.split(separator: " "), words.count == 2 else { return nil }
        switch words[0].lowercased() {
        case "bearer": return String(words[1])
        case "basic":
            guard let bytes = Data(base64Encoded: String(words[1])) else { return nil }
            return String(decoding: bytes, as: UTF8.self).split(separator: ":").first.map(String.init)
        default: return nil
        }
    }
}
