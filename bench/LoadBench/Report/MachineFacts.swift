/// Where a suite ran, as reports tell it.
struct MachineFacts: Sendable {
    var rows: [(name: String, value: String)]

    init(_ machine: Machine) {
        self.rows = [
            ("Processor", machine.cpu),
            ("Cores", Figures.whole(machine.cores)),
            ("Memory", "\(Figures.fixed(Double(machine.memoryBytes) / 1_000_000_000, places: 1)) GB"),
            ("Kernel", machine.kernel),
            ("Layout", machine.layout),
            ("Load before", Figures.fixed(machine.loadBefore, places: 2)),
            ("Versions", machine.versions.joined(separator: ", ")),
        ].filter { !$0.1.isEmpty }.map { (name: $0.0, value: $0.1) }
    }
}
