import Logging
import ServiceLifecycle

/// One part of the process, such as its listener.
///
/// Whichever part fails or ends too early, the others are stopped in order, as by SIGTERM. The library's default would
/// cancel them, and a settler that is cancelled ends with its backlog.
struct ServicePart: Service, CustomStringConvertible {
    let description: String
    private let onShutdown: @Sendable () -> Void
    private let body: @Sendable () async throws -> Void

    /// A part ended though nobody had asked it to.
    struct EndedEarly: Error, Equatable, CustomStringConvertible {
        let part: String
        var description: String { "the \(self.part) ended unexpectedly" }
    }

    /// - Parameters:
    ///   - onShutdown: called when it is this part's turn to stop; afterwards `body` is awaited.
    ///   - body: runs until then. One that has nothing to be told waits for `gracefulShutdown()`.
    init(
        _ name: String, onShutdown: @escaping @Sendable () -> Void = {},
        body: @escaping @Sendable () async throws -> Void
    ) {
        self.description = name
        self.onShutdown = onShutdown
        self.body = body
    }

    func run() async throws {
        try await withGracefulShutdownHandler {
            try await self.body()
        } onGracefulShutdown: {
            self.onShutdown()
        }
        guard Task.isShuttingDownGracefully || Task.isCancelled else {
            throw EndedEarly(part: self.description)
        }
    }

    /// Starts parts in this order and stops them in reverse, each after the one behind it has ended.
    static func group(_ parts: [ServicePart], logger: Logger) -> ServiceGroup {
        // An early end is thrown by `run()`, so that it does not pass for success.
        let services = parts.map {
            ServiceGroupConfiguration.ServiceConfiguration(
                service: $0, successTerminationBehavior: .gracefullyShutdownGroup,
                failureTerminationBehavior: .gracefullyShutdownGroup)
        }
        return ServiceGroup(configuration: .init(services: services, logger: logger))
    }
}
