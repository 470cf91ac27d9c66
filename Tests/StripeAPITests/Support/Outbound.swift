@testable import StripeAPI

/// With one thread, unless the test says otherwise.
func outbound(_ change: (inout OutboundHTTP.Configuration) -> Void = { _ in }) -> OutboundHTTP {
    var configuration = OutboundHTTP.Configuration()
    configuration.threads = 1
    // A peer that says nothing is asked for as long as the test needs it, which a busy machine stretches.
    (configuration.totalTimeout, configuration.silenceTimeout) = (.seconds(600), .seconds(600))
    change(&configuration)
    return OutboundHTTP(configuration)
}

func failure(
    of http: OutboundHTTP, _ server: NastyServer, body: [UInt8] = [], timeout: Duration? = nil
) async throws -> OutboundFailure? {
    let request = OutboundRequest(
        body.isEmpty ? .get : .post, try .loopback(server.port), target: "/x", body: body, timeout: timeout)
    do throws(OutboundFailure) {
        _ = try await http.send(request)
        return nil
    } catch {
        return error
    }
}
