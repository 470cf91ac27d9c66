/// Runs one seed.
public enum Simulation {
    public static func run(_ settings: SimSettings) -> SimReport { World(settings).run() }

    /// As `run`; when a rule about a hold breaks, the same world is lived again and tells that hold's story.
    public static func runWithStory(_ settings: SimSettings) -> SimReport {
        let report = self.run(settings)
        guard let hold = report.failure?.hold else { return report }
        var again = settings
        again.traced = hold
        return self.run(again)
    }
}
