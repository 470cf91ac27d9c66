import ArgumentParser
import Logging

struct DevCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dev",
        abstract: "A complete private stack: Postgres, Redis, a mock of OpenAI, and Tollgate.",
        discussion: """
            Data is kept below --dir and used again by the next start. With OPENAI_API_KEY in the environment (and \
            OPENAI_BASE_URL, if set) the real API is used instead of the mock. User 'demo' starts with 10,000 \
            credits. DIR/dev.json tells scripts where everything is. Ctrl-C stops all that was started.
            """)

    @Option(help: "Public port on 127.0.0.1; 0: any free port.")
    var port = 8080
    @Option(help: "Where data, logs and dev.json are kept.")
    var dir = "var/dev"

    func validate() throws {
        guard (0...65535).contains(port) else { throw ValidationError("--port must be from 0 to 65535") }
    }

    func run() async throws {
        try await reporting {
            var reader = SettingsReader.environment()
            let logs = LogSettings(&reader, format: .text, level: .warning)
            guard reader.problems.isEmpty else { throw BadConfiguration(problems: reader.problems) }
            logs.bootstrap()
            let logger = logs.logger()
            try await DevStack(directory: dir, port: port, logger: logger).run()
        }
    }
}
