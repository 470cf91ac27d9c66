import Glibc

/// The `date` field line, written anew once per second.
struct HTTPDate: Sendable {
    /// `date: Mon, 23 Nov 2026 15:17:22 GMT\r\n`
    private(set) var field: [UInt8] = []
    private var second: Int = -1

    init() {}

    mutating func update() {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME_COARSE, &now)
        guard now.tv_sec != self.second else { return }
        self.second = now.tv_sec
        var seconds = now.tv_sec
        var parts = tm()
        gmtime_r(&seconds, &parts)
        let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        func padded(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let text =
            "date: \(days[Int(parts.tm_wday)]), \(padded(parts.tm_mday)) \(months[Int(parts.tm_mon)]) "
            + "\(parts.tm_year + 1900) \(padded(parts.tm_hour)):\(padded(parts.tm_min)):"
            + "\(padded(parts.tm_sec)) GMT\r\n"
        self.field = Array(text.utf8)
    }
}
