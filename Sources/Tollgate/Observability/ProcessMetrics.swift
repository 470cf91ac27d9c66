import Foundation
import Metering

/// What every exporter tells of its process, under the names that dashboards know.
///
/// Source: prometheus.io/docs/instrumenting/writing_clientlibs, "Process metrics"; `proc(5)`.
struct ProcessMetrics: MetricSource {
    let version: String

    func samples() -> [MetricSample] {
        [
            MetricSample(
                "tollgate_build_info", help: "1; the version is a label.", kind: .gauge,
                labels: [.init("version", self.version)], count: 1)
        ] + Self.status + Self.descriptors
    }

    private static var status: [MetricSample] {
        guard let text = try? String(contentsOfFile: "/proc/self/stat", encoding: .utf8),
            let fields = ProcessStat(parsing: text)
        else { return [] }
        let ticks = Int64(sysconf(Int32(_SC_CLK_TCK)))
        let page = Int64(sysconf(Int32(_SC_PAGESIZE)))
        var samples = [
            Self.sample(
                "process_cpu_seconds_total", "Processor time, user and system.", .counter,
                ExactDecimal(coefficient: Int128(fields.cpuTicks) * 1000 / Int128(ticks), scale: 3)),
            Self.sample(
                "process_resident_memory_bytes", "Resident memory.", .gauge,
                Self.whole(fields.residentPages * page)),
            Self.sample(
                "process_virtual_memory_bytes", "Virtual memory.", .gauge, Self.whole(fields.virtualBytes)),
        ]
        if let boot = Self.bootSeconds {
            samples.append(
                Self.sample(
                    "process_start_time_seconds", "Start of the process; seconds since 1970.", .gauge,
                    ExactDecimal(
                        coefficient: Int128(boot) * 1000 + Int128(fields.startTicks) * 1000 / Int128(ticks),
                        scale: 3)))
        }
        return samples
    }

    private static var descriptors: [MetricSample] {
        var samples: [MetricSample] = []
        // The descriptor that reads the directory is one of them.
        if let open = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd") {
            samples.append(
                MetricSample(
                    "process_open_fds", help: "Open descriptors.", kind: .gauge, count: open.count))
        }
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            samples.append(
                MetricSample(
                    "process_max_fds", help: "Descriptors that may be open.", kind: .gauge,
                    count: Int(clamping: limit.rlim_cur)))
        }
        return samples
    }

    private static var bootSeconds: Int64? {
        guard let text = try? String(contentsOfFile: "/proc/stat", encoding: .utf8) else { return nil }
        let line = text.split(separator: "\n").first { $0.hasPrefix("btime ") }
        return line.flatMap { Int64($0.dropFirst(6)) }
    }

    private static func whole(_ value: Int64) -> ExactDecimal {
        ExactDecimal(coefficient: Int128(value), scale: 0)
    }

    private static func sample(
        _ name: String, _ help: String, _ kind: MetricSample.Kind, _ value: ExactDecimal
    ) -> MetricSample {
        MetricSample(name, help: help, kind: kind, value: value)
    }
}

/// `/proc/self/stat`, as far as it is of use.
struct ProcessStat: Equatable {
    var cpuTicks: Int64
    var startTicks: Int64
    var virtualBytes: Int64
    var residentPages: Int64

    /// The second field is the program's name in parentheses, and may hold blanks and parentheses itself.
    init?(parsing text: String) {
        guard let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split { $0 == " " || $0 == "\n" }
        // The first of these is field 3.
        func field(_ number: Int) -> Int64? {
            fields.indices.contains(number - 3) ? Int64(fields[number - 3]) : nil
        }
        guard let user = field(14), let system = field(15), let start = field(22), let virtual = field(23),
            let resident = field(24)
        else { return nil }
        self.cpuTicks = user + system
        self.startTicks = start
        self.virtualBytes = virtual
        self.residentPages = resident
    }
}
