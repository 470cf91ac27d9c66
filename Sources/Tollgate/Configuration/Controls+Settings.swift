import Metering

extension Controls {
    /// The start values that the environment gives; what is wrong is left with the reader.
    init(_ reader: inout SettingsReader) {
        self.init()
        for name in ControlName.allCases {
            guard let text = reader.text(name.rawValue) else { continue }
            do throws(ControlProblem) {
                try self.set(name, to: text)
            } catch {
                reader.reject(error.name, error.message)
            }
        }
    }

    /// For commands, which act on the same environment as `serve`.
    static func environment() throws -> Controls {
        var reader = SettingsReader.environment()
        let controls = Controls(&reader)
        guard reader.problems.isEmpty else { throw BadConfiguration(problems: reader.problems) }
        return controls
    }
}
