import Billing
import Metering
import PostgresLedger
import RedisHolds

/// Whether the stores are set up so that money is safe in them; pure.
enum StoreJudgement {
    private static let postgresMin: Int64 = 15
    static let skewMillisecondsMax: Int64 = 500
    static let backupHoursMax: Int64 = 24

    static func findings(_ facts: PostgresServerFacts, programVersion: Int64) -> [PreflightLine] {
        var lines: [PreflightLine] = []
        if facts.majorVersion < Self.postgresMin {
            lines.append(
                .failed("postgres", "version \(facts.majorVersion); \(Self.postgresMin) or newer is needed"))
        }
        if facts.isStandby {
            lines.append(.failed("postgres", "DATABASE_URL is a standby, which takes no money"))
        }
        for (name, danger) in [
            ("fsync", "a power failure loses money"), ("full_page_writes", "a power failure breaks tables"),
            ("synchronous_commit", "what was answered can be lost"),
        ] where facts.settings[name] == "off" {
            lines.append(.failed("postgres", "\(name) is off: \(danger)"))
        }
        if facts.settings["data_checksums"] == "off" {
            lines.append(
                .warning("postgres", "data_checksums is off: a broken disk is found late (pg_checksums)"))
        }
        if !facts.isLocal, !facts.isTLS {
            lines.append(
                .warning("postgres", "the connection is plain; add sslmode=verify-full to DATABASE_URL"))
        }
        return lines
    }

    static func schema(_ version: Int64?, programVersion: Int64) -> PreflightLine {
        guard let version else { return .failed("migrations", "no schema; run `tollgate migrate`") }
        if version < programVersion {
            return .failed("migrations", "schema \(version) of \(programVersion); run `tollgate migrate`")
        }
        guard version == programVersion else {
            return .failed("migrations", "schema \(version) is newer than this program's \(programVersion)")
        }
        return .ok("migrations", "schema \(version), as this program wants it")
    }

    static func findings(_ facts: RedisServerFacts) -> [PreflightLine] {
        var lines: [PreflightLine] = []
        if facts.evictionPolicy != "noeviction" {
            lines.append(
                .failed(
                    "redis", "maxmemory-policy is \(facts.evictionPolicy); holds would vanish: noeviction"))
        }
        if facts.isReplica { lines.append(.failed("redis", "REDIS_URL is a replica, which takes no holds")) }
        if !facts.isAppendOnly {
            lines.append(
                .warning(
                    "redis", "appendonly is no: each restart begins with three seconds without admission"))
        }
        return lines
    }

    /// - Parameter milliseconds: this machine's clock minus the ledger's.
    static func clock(_ milliseconds: Int64) -> PreflightLine {
        milliseconds.magnitude > Self.skewMillisecondsMax
            ? .failed("clock", "\(milliseconds) ms from the ledger's clock; is NTP running?")
            : .ok("clock", "within \(Self.skewMillisecondsMax) ms of the ledger's")
    }

    static func packages(_ packages: [CreditPackage]) -> [PreflightLine] {
        SmokeExpectations.packages.compactMap { expected in
            guard let found = packages.first(where: { $0.code == expected.code }) else {
                return .failed("packages", "'\(expected.code)' is not sold; run `tollgate seed`")
            }
            let isRight =
                found.priceUSDCents == expected.cents && found.credits == expected.credits
                && found.bonusCredits == expected.bonus
            return isRight
                ? nil
                : .failed(
                    "packages",
                    "'\(expected.code)' costs \(found.priceUSDCents) cents for \(found.credits) credits instead of "
                        + "\(expected.cents) for \(expected.credits)")
        }
    }

    /// - Parameter hours: since the newest backup was made; nil: none was named.
    static func backup(hours: Int64) -> PreflightLine {
        hours < Self.backupHoursMax
            ? .ok("backup", "\(hours) hours old")
            : .failed("backup", "\(hours) hours old; make a new one before anything else")
    }
}
