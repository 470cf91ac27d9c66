import ServiceLifecycle

/// Sends what the world wants delivered, and tells it what came of it.
struct DeliveryRunner: Service {
    let shared: SharedWorld
    let client: WebhookClient

    func run() async throws {
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                while !Task.isCancelled {
                    while let delivery = self.shared.nextDelivery() {
                        group.addTask { await self.send(from: delivery) }
                    }
                    // Only a pause between looks at the queue; cancellation ends it, and the loop with it.
                    try? await Task.sleep(for: .milliseconds(10))
                }
            }
        }
    }

    /// One lane of deliveries: goes on with what is due next, until nothing is.
    private func send(from first: Delivery) async {
        var next: Delivery? = first
        while let delivery = next {
            let status = await self.client.post(delivery)
            self.shared.ended(delivery, status: status)
            next = Task.isCancelled ? nil : self.shared.nextDelivery()
        }
    }
}
