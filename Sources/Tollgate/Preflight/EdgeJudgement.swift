/// Whether what faces the world is shut where it must be, and what the machine has left; pure.
enum EdgeJudgement {
    private static let certificateDaysMin: Int64 = 14
    private static let mebibyte: UInt64 = 1 << 20
    private static let journalBytesMin: UInt64 = 1 << 30
    private static let journalBytesWanted: UInt64 = 5 << 30
    private static let descriptorsWanted = 8_192

    static func addresses(publicURL: String, origins: [String]) -> [PreflightLine] {
        var lines: [PreflightLine] = []
        if !publicURL.hasPrefix("https://") {
            lines.append(.failed("public-url", "PUBLIC_URL is \(publicURL); customers need https://"))
        }
        for origin in origins where !origin.hasPrefix("https://") {
            lines.append(.failed("public-url", "CORS_ORIGINS has \(origin), which is not https://"))
        }
        return lines
    }

    /// - Parameter days: until each certificate ends, by its file.
    static func certificates(_ days: [(path: String, days: Int64?)]) -> [PreflightLine] {
        days.compactMap { file in
            guard let days = file.days else {
                return .failed("tls", "\(file.path) cannot be read as a certificate")
            }
            if days < 0 { return .failed("tls", "\(file.path) ended \(-days) days ago") }
            return days < Self.certificateDaysMin ? .warning("tls", "\(file.path) ends in \(days) days") : nil
        }
    }

    /// - Parameter bytes: that are free; nil: the directory cannot be looked at.
    static func journalDisk(_ directory: String, bytes: UInt64?) -> PreflightLine {
        guard let bytes else {
            return .failed("journal-disk", "JOURNAL_DIR \(directory) is not there, or not writable")
        }
        let text = "\(bytes / Self.mebibyte) MiB are free in \(directory)"
        if bytes < Self.journalBytesMin { return .failed("journal-disk", text) }
        return bytes < Self.journalBytesWanted ? .warning("journal-disk", text) : .ok("journal-disk", text)
    }

    static func descriptors(_ count: Int) -> PreflightLine {
        count < Self.descriptorsWanted
            ? .warning("descriptors", "\(count) files may be open; set LimitNOFILE or ulimit -n")
            : .ok("descriptors", "\(count) files may be open")
    }
}
