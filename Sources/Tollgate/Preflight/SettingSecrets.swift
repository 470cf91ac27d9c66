import Foundation
import Metering

/// Secrets that are a part of a setting; pure.
enum SettingSecrets {
    /// The password of `scheme://user:password@host/…`, or of its query; nil: it has none.
    static func password(in url: Secret) -> Secret? {
        guard let scheme = url.value.firstRange(of: "://") else { return nil }
        let rest = url.value[scheme.upperBound...]
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        if let at = authority.lastIndex(of: "@") {
            let user = authority[..<at].split(
                separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            if user.count == 2, let password = self.decoded(user[1]) { return password }
        }
        let query = rest.drop { $0 != "?" }.dropFirst()
        return query.split(separator: "&").lazy
            .filter { $0.hasPrefix("password=") }
            .compactMap { self.decoded($0.dropFirst("password=".count)) }.first
    }

    /// Of `key=value` by commas, the values of those that are made to prove who asks. A name such as `x-team` is none.
    static func headers(in text: Secret) -> [(name: String, value: Secret)] {
        text.value.split(separator: ",").compactMap { pair in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = parts[0].trimmingBlanks.lowercased()
            guard parts.count == 2, Self.proofs.contains(where: { name.contains($0) }),
                let value = self.decoded(parts[1])
            else { return nil }
            // `Bearer X`: the scheme is none of it.
            let words = value.value.split(separator: " ")
            return (name, Secret(value: words.last.map(String.init) ?? value.value))
        }
    }

    private static let proofs = ["auth", "key", "token", "secret", "password"]

    private static func decoded(_ text: Substring) -> Secret? {
        guard let value = String(text.trimmingBlanks).removingPercentEncoding, !value.isEmpty else {
            return nil
        }
        return Secret(value: value)
    }
}
