import Foundation

/// What a stack is made of.
public struct StackSetup: Sendable {
    /// Directory with `tollgate` and `mock-openai`.
    public var programs: String
    /// The working directory of Tollgate: `ratecards/` and `var/tokenizer/` are looked for there.
    public var checkout: String
    public var layout: CoreLayout
    public var tls = TLSLegs()
    /// The lanes carry streams: the baselines then gather nothing.
    public var isStreaming = false
    /// Clients at a time that the baselines are made ready for.
    public var connectionsMax = 4096
    /// Virtual environment of LiteLLM.
    public var liteLLMPath: String
    /// Models that LiteLLM is told of.
    public var models = ["gpt-4o-mini"]
    /// Further settings of the `plain` and `governed` lanes; they win over ours.
    public var environment: [String: String] = [:]
    /// The directory of everything is made below this, and removed at the end unless `keepsFiles`.
    public var parentDirectory = "/tmp"
    public var keepsFiles = false

    public init(programs: String, checkout: String, layout: CoreLayout) {
        // Both are handed to processes that work elsewhere.
        self.programs = URL(fileURLWithPath: programs).path
        self.checkout = URL(fileURLWithPath: checkout).path
        self.layout = layout
        self.liteLLMPath = self.checkout + "/bench/.venv-litellm"
    }

    var tollgate: String { self.programs + "/tollgate" }
    var mock: String { self.programs + "/mock-openai" }

    func checkPrograms() throws(StackError) {
        for program in [self.tollgate, self.mock]
        where !FileManager.default.isExecutableFile(atPath: program) {
            throw .missing(program: program, hint: "make build")
        }
    }

    /// This lane's program is there.
    public func canStart(_ lane: StackLane) -> Bool {
        switch lane {
        case .direct, .plain, .governed: true
        case .nginx: NginxBaseline.isPresent
        case .haproxy: HAProxyBaseline.isPresent
        case .litellm: LiteLLMBaseline(environmentPath: self.liteLLMPath).isPresent
        }
    }

    /// What the programs of `lanes` say of their versions, for `Machine.read`.
    public func versions(_ lanes: [StackLane]) -> [String] {
        var versions = [ProgramPath.version([self.tollgate, "--version"]).map { "tollgate \($0)" }]
        if lanes.contains(.nginx) { versions.append(self.version("nginx")) }
        if lanes.contains(.haproxy) { versions.append(self.version("haproxy")) }
        if lanes.contains(.litellm) {
            let program = LiteLLMBaseline(environmentPath: self.liteLLMPath).program
            versions.append(ProgramPath.version([program, "--version"]))
        }
        return versions.compactMap { $0 }
    }

    private func version(_ program: String) -> String? {
        ProgramPath.find(program).flatMap { ProgramPath.version([$0, "-v"]) }
    }
}
