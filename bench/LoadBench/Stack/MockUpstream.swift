/// The `mock-openai` of a stack.
enum MockUpstream {
    static func arguments(_ setup: StackSetup, port: Int, certificates: StackCertificates?) -> [String] {
        var arguments = [
            setup.mock, "--port", "\(port)", "--threads", "1", "--log", "none",
        ]
        if setup.tls.upstream, let certificates {
            arguments += ["--tls-cert", certificates.certificateFile, "--tls-key", certificates.keyFile]
        }
        return arguments
    }

    static func start(
        _ setup: StackSetup, port: Int, certificates: StackCertificates?, directory: String,
        started: (ChildProgram) -> Void
    ) throws(StackError) -> ChildProgram {
        let child = try ChildProgram(
            name: "mock-openai", self.arguments(setup, port: port, certificates: certificates),
            prefix: setup.layout.startPrefix(.other), directory: directory, logPath: directory + "/mock.log")
        started(child)
        try child.waitUntilListening(port, seconds: 30)
        return child
    }
}
