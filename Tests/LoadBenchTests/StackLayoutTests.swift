import Glibc
import Testing

@testable import LoadBench

@Suite struct StackLayoutTests {
    @Test(arguments: [
        ([], CoreLayout.unpinned), ([0], .unpinned), ([0, 1], .split(proxy: 1, others: [0])),
        ([6, 2, 4], .split(proxy: 6, others: [2, 4])),
    ])
    func theProxyHasTheLastCoreWhenThereAreTwo(cores: [Int], layout: CoreLayout) {
        #expect(CoreLayout.over(cores) == layout)
    }

    @Test func theLayoutIsToldInWords() {
        #expect(CoreLayout.unpinned.text == "not pinned")
        #expect(
            CoreLayout.over([0, 1]).text == "proxies, one under load at a time, on core 1, all else on core 0"
        )
        #expect(
            CoreLayout.over([0, 1, 2]).text
                == "proxies, one under load at a time, on core 2, all else on cores 0, 1")
    }

    @Test(arguments: [("\t0-1", [0, 1]), ("0,2-3,7", [0, 2, 3, 7]), ("", []), ("3-1", [])])
    func listsOfTheKernelAreRead(list: String, cores: [Int]) {
        #expect(CoreLayout.cores(parsing: list) == cores)
    }

    private static func allowed(_ pid: Int32) -> String {
        (ProcFiles.read("/proc/\(pid)/status") ?? "").split(separator: "\n")
            .first { $0.hasPrefix("Cpus_allowed_list:") }.map { String($0.drop { $0 != "\t" }.dropFirst()) }
            ?? ""
    }

    @Test(.enabled(if: CoreLayout.allowedCores.count > 1))
    func aChildIsPinnedFromItsStartAndPinnedElsewhereWithItsChildren() async throws {
        try await StackFixtures.offThePool {
            try StackFixtures.withDirectory { directory in
                let layout = CoreLayout.ofThisMachine()
                let (proxy, others) = (layout.cores(of: .proxy) ?? [], layout.cores(of: .other) ?? [])
                let child = try ChildProgram(
                    name: "sleepers", ["sh", "-c", "sleep 300 & wait"], prefix: layout.startPrefix(.proxy),
                    logPath: directory + "/log")
                try child.wait(20) {
                    ProcFiles.children(child.pid).contains { ProcFiles.name($0) == "sleep" }
                }
                let tree = ProcFiles.tree(child.pid)
                #expect(tree.count == 2)
                for pid in tree { #expect(CoreLayout.cores(parsing: Self.allowed(pid)) == proxy) }
                try layout.pin(child.pid, .other)
                for pid in tree { #expect(CoreLayout.cores(parsing: Self.allowed(pid)) == others) }
                for pid in tree.reversed() { kill(pid, SIGTERM) }
                try child.stop()
                #expect(throws: StackError.notPinned(pid: child.pid, reason: "it does not run")) {
                    try layout.pin(child.pid, .other)
                }
            }
        }
    }

    @Test func theMachineSaysWhatItIs() {
        let machine = Machine.read(layout: .unpinned, versions: ["nginx/1"])
        #expect(
            machine.cores > 0 && machine.memoryBytes > 1 << 20 && !machine.kernel.isEmpty
                && !machine.cpu.isEmpty)
        #expect(machine.layout == "not pinned" && machine.versions == ["nginx/1"])
        #expect(Machine.cpu(parsing: "processor\t: 0\nmodel name\t: AMD EPYC 9\n") == "AMD EPYC 9")
        #expect(Machine.cpu(parsing: "processor\t: 0\n") == "unknown")
        #expect(Machine.load(parsing: "1.25 0.5 0.1 1/2 3") == 1.25)
    }
}
