import Metering
import Proxy
import RateCards

/// The settings of `serve` that decide a price, for commands that name one.
enum PriceSettings {
    /// - Parameter option: replaces `BILLING_ROUNDING_MODE`.
    static func rounding(_ option: String?) throws -> RoundingMode {
        if let option {
            guard let mode = RoundingMode(rawValue: option) else {
                let known = RoundingMode.allCases.map(\.rawValue).joined(separator: " or ")
                throw UsageError("--rounding must be \(known), not '\(option)'")
            }
            return mode
        }
        var reader = SettingsReader(get: System.environment, readFile: { _ in "" })
        let mode: RoundingMode = reader.choice("BILLING_ROUNDING_MODE", default: .exact)
        guard reader.problems.isEmpty else { throw BadConfiguration(problems: reader.problems) }
        return mode
    }

    /// Of the upstream that `serve` would use, so that both name the same price.
    static func region() throws -> Region? {
        guard let url = System.environment("OPENAI_BASE_URL"), !url.isEmpty else { return nil }
        do throws(UpstreamOrigin.ParseFailure) {
            return Region(upstreamHost: try UpstreamOrigin.parse(url).host)
        } catch {
            throw BadConfiguration(problems: [SettingProblem(name: "OPENAI_BASE_URL", message: "\(error)")])
        }
    }
}
