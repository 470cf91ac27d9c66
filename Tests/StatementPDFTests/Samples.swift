import Billing
import Foundation
import Metering

@testable import StatementPDF

/// Statements to print.
enum Samples {
    static let march = UTCMonth(year: 2026, month: 3)!

    static func day(_ day: Int) -> UTCDay { UTCDay(year: 2026, month: 3, day: day)! }

    static func letterhead(logo: String? = nil, address: [String]? = nil) throws -> Letterhead {
        try Letterhead(
            operatorName: "ScholarLink Learning Ltd.",
            address: address ?? [
                "12 Harbour Street", "Dublin D02 X285", "Ireland", "VAT IE 1234567T",
                "billing@scholarlink.example",
            ], logoPath: logo, issued: UTCDay(year: 2026, month: 4, day: 1)!)
    }

    /// One purchase, a week of one model: a page.
    static func small(userID: String = "ada@example.com") throws -> Statement {
        try self.statement(userID: userID, days: 1...7, models: ["gpt-4o-mini"])
    }

    /// A month of a team with seven models.
    static func large() throws -> Statement {
        try self.statement(
            userID: "team-" + String(repeating: "kings-college-physics-", count: 8) + "7f3a",
            days: 1...31,
            models: [
                "gpt-5", "gpt-5-mini", "gpt-4o-mini", "gpt-4o-2024-11-20", "o4-mini-deep-research-2025-06-26",
                "ft:gpt-4.1-mini-2025-04-14:scholarlink-learning-limited:tutoring-de:C1a2B3c4",
                "text-embedding-3-large",
            ], hasEverything: true)
    }

    static func statement(
        userID: String, days: ClosedRange<Int>, models: [String], hasEverything: Bool = false
    ) throws -> Statement {
        let usage = days.flatMap { day in
            models.enumerated().map { index, model in
                Statement.Used(
                    day: self.day(day), model: model, calls: Int64(7 * day + index),
                    inputTokens: Int64(12_345 * day + 1001 * index), cachedInputTokens: Int64(1024 * day),
                    outputTokens: Int64(987 * day + index),
                    charged: Millicredits(Int64(23_457 * day + 311 * index)))
            }
        }
        var purchases = [
            Statement.Purchased(
                day: self.day(2), package: "Professional", paidCents: 4999, credits: Millicredits(52_490_000),
                reference: "0197f0a2-6c1e-7b3a-9f00-5a1d2c3b4e5f",
                receiptURL: "https://pay.stripe.com/receipts/payment/CAcaFwoVYWNjdF8x")
        ]
        var movements: [Statement.MovementSection: [Statement.Movement]] = [:]
        if hasEverything {
            purchases.append(
                Statement.Purchased(
                    day: self.day(20), package: "Enterprise", paidCents: 9999,
                    credits: Millicredits(109_990_000),
                    reference: "0197f0a2-6c1e-7b3a-9f00-5a1d2c3b4e60", receiptURL: nil))
            movements = [
                .refunds: [
                    .init(
                        day: self.day(9), text: "Refund of Professional", reference: purchases[0].reference,
                        amount: Millicredits(-10_500_101), cashCents: 1000)
                ],
                .disputes: [
                    .init(
                        day: self.day(25), text: "Dispute lost: Enterprise",
                        reference: purchases[1].reference,
                        amount: Millicredits(-109_990_000))
                ],
                .adjustments: [
                    .init(
                        day: self.day(1),
                        text: "Welcome credits for the new term, with our thanks for the pilot",
                        reference: "promo-2026-spring", amount: Millicredits(5_000_000))
                ],
                .corrections: [
                    .init(
                        day: self.day(11), text: "Settlement corrected",
                        reference: "0197f0a3-1111-7b3a-9f00-000000000001",
                        amount: Millicredits(1234))
                ],
            ]
        }
        let opening: Int64 = 1_234_567
        let closing =
            opening + purchases.reduce(0) { $0 + $1.credits.value }
            - usage.reduce(0) { $0 + $1.charged.value }
            + movements.values.joined().reduce(0) { $0 + $1.amount.value }
        return try Statement(
            account: 42, userID: userID, month: self.march, opening: Millicredits(opening),
            purchases: purchases,
            usage: usage, movements: movements, closing: Millicredits(closing))
    }
}

/// A program of poppler that reads what we print.
struct Program {
    let path: String

    /// nil when it is not installed: the test fails then, as `scripts/bootstrap.sh test` installs it.
    init?(_ name: String) {
        let places = (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin").split(separator: ":")
        guard
            let path = places.map({ "\($0)/\(name)" }).first(where: {
                FileManager.default.isExecutableFile(atPath: $0)
            })
        else { return nil }
        self.path = path
    }

    /// What it prints on standard output about the file, which it gets as its last argument but `suffix`.
    func read(_ bytes: [UInt8], _ arguments: [String] = [], suffix: [String] = []) throws -> String {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "tollgate-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appendingPathComponent("statement.pdf")
        let output = folder.appendingPathComponent("output")
        try Data(bytes).write(to: file)
        try Data().write(to: output)
        let handle = try FileHandle(forWritingTo: output)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: self.path)
        process.arguments = arguments + [file.path] + suffix
        process.environment = ["LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin", "TZ": "UTC"]
        process.standardOutput = handle
        process.standardError = FileHandle.nullDevice
        process.standardInput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        try handle.close()
        guard process.terminationStatus == 0 else { throw Failure(status: process.terminationStatus) }
        return String(decoding: try Data(contentsOf: output), as: UTF8.self)
    }

    struct Failure: Error { var status: Int32 }
}
