import Foundation

/// LiteLLM's proxy with one worker, of a virtual environment that somebody has made: `python3 -m venv
/// bench/.venv-litellm && bench/.venv-litellm/bin/pip install 'litellm[proxy]'`.
public struct LiteLLMBaseline: Sendable, Equatable {
    public let environmentPath: String

    public init(environmentPath: String) { self.environmentPath = environmentPath }

    public var program: String { self.environmentPath + "/bin/litellm" }

    public var isPresent: Bool { FileManager.default.isExecutableFile(atPath: self.program) }

    /// config.yaml; without a master key it takes any key of a client.
    public static func configuration(_ settings: BaselineSettings, models: [String]) -> String {
        // By the name only where a certificate asks for it: a name costs a look-up.
        let root = settings.tls.upstream ? "https://localhost" : "http://127.0.0.1"
        let entries = models.map { model in
            """
              - model_name: "\(model)"
                litellm_params:
                  model: "openai/\(model)"
                  api_base: "\(root):\(settings.upstreamPort)/v1"
                  api_key: "\(BaselineSettings.operatorKey)"
            """
        }
        return """
            model_list:
            \(entries.joined(separator: "\n"))
            litellm_settings:
              telemetry: false
              request_timeout: 600
              num_retries: 0

            """
    }

    func arguments(_ settings: BaselineSettings, configurationFile: String) -> [String] {
        var arguments = [
            self.program, "--config", configurationFile, "--host", "127.0.0.1", "--port", "\(settings.port)",
            "--num_workers", "1",
        ]
        if let certificates = settings.clientCertificates {
            arguments += [
                "--ssl_certfile_path", certificates.certificateFile, "--ssl_keyfile_path",
                certificates.keyFile,
            ]
        }
        return arguments
    }

    /// Starts it; returns when it listens, which takes it tens of seconds. `directory` is its own.
    public func start(
        _ settings: BaselineSettings, models: [String], directory: String, prefix: [String] = []
    ) throws(StackError) -> ChildProgram {
        guard self.isPresent else {
            throw .missing(
                program: self.program,
                hint: "python3 -m venv \(self.environmentPath), then pip install 'litellm[proxy]'")
        }
        let file = directory + "/litellm.yaml"
        try StackFiles.write(Self.configuration(settings, models: models), to: file)
        // The price list that comes with it, and not the one on the network.
        var environment = [
            "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "HOME": directory,
            // Newer ones do not start without a key of their own unless they are told that it is for this machine only.
            "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
        ]
        if let certificates = settings.upstreamCertificates {
            environment["SSL_CERT_FILE"] = certificates.authorityFile
        }
        let child = try ChildProgram(
            name: "litellm", self.arguments(settings, configurationFile: file), prefix: prefix,
            environment: environment, directory: directory, logPath: directory + "/litellm.log")
        try child.waitUntilListening(settings.port, seconds: 180)
        return child
    }
}
