import NIOCore

extension LoadRun {
    /// Runs it, and watches processes in its measured part.
    ///
    /// - Parameters:
    ///   - name: of the turn, for whoever waits.
    ///   - watch: made before the first exchange; to be settled when nothing is under way.
    /// - Throws: also `StackError`, as soon as a watched process is gone.
    func run(
        on group: any EventLoopGroup, lane: String, round: Int, name: String, watch: inout ProcessWatch,
        tell: (LocalSuite.Progress) -> Void
    ) async throws -> Outcome {
        try await self.run(on: group, lane: lane, round: round) { moment in
            switch moment {
            case .warmingUp: tell(.turn(name, share: 0))
            case .measuring: try watch.begin()
            case .running(let share):
                try watch.sample()
                tell(.turn(name, share: share))
            case .ending: try watch.finish()
            }
        }
    }
}
