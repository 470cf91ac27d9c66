import NIOCore

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// The `date` header, formatted once per second and connection.
struct HTTPDate {
    private(set) var seconds = -1
    private(set) var text = ByteBuffer()

    /// Seconds since 1970 of now; refreshes `text`.
    mutating func now() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME_COARSE, &time)
        if time.tv_sec != seconds {
            seconds = time.tv_sec
            format()
        }
        return seconds
    }

    private mutating func format() {
        let days: [StaticString] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months: [StaticString] = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ]
        var parts = tm()
        var now = time_t(seconds)
        gmtime_r(&now, &parts)
        text.clear()
        text.writeStaticString(days[Int(parts.tm_wday)])
        text.writeStaticString(", ")
        two(parts.tm_mday)
        text.writeStaticString(" ")
        text.writeStaticString(months[Int(parts.tm_mon)])
        text.writeStaticString(" ")
        text.writeDecimal(Int(parts.tm_year) + 1_900)
        text.writeStaticString(" ")
        two(parts.tm_hour)
        text.writeStaticString(":")
        two(parts.tm_min)
        text.writeStaticString(":")
        two(parts.tm_sec)
        text.writeStaticString(" GMT")
    }

    private mutating func two(_ value: Int32) {
        text.writeInteger(UInt8(ascii: "0") + UInt8(value / 10))
        text.writeInteger(UInt8(ascii: "0") + UInt8(value % 10))
    }
}
