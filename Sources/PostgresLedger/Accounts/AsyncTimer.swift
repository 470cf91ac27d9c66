/// Calls a body at once, then every `interval` or as soon as a nudge comes, until the task is cancelled.
struct AsyncTimer {
    let interval: Duration
    let nudges: AsyncStream<Void>

    func run(_ body: () async -> Void) async {
        let (ticks, ticker) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        await withTaskGroup { group in
            group.addTask { for await _ in self.nudges { ticker.yield() } }
            group.addTask {
                while !Task.isCancelled {
                    try? await Task.sleep(for: self.interval)
                    ticker.yield()
                }
                ticker.finish()
            }
            await body()
            for await _ in ticks {
                if Task.isCancelled { break }
                await body()
            }
            group.cancelAll()
        }
    }
}
