import Billing
import HTTPTypes
import Hummingbird
import Metering
import NIOCore

/// `GET /api/billing/ledger?type=&from=&to=&limit=&cursor=` and `GET /api/billing/statements/YYYY-MM.{csv,pdf,json}`.
struct HistoryRoutes: Sendable {
    let credentials: Credentials
    let history: any HistoryReading
    let printer: any StatementPrinting

    func add(to table: inout RouteTable) {
        table.get("/api/billing/ledger", access: .account, Self.ledgerOperation) {
            try await self.ledger($0, $1)
        }
        table.get("/api/billing/statements/:file", access: .account, Self.statementOperation) {
            try await self.statement($0, $1)
        }
    }

    private static let ledgerOperation = Operation(
        .billing, "ledger", "What changed the balance, newest first.",
        [.query("type", .word(LedgerLineType.self), "Of this type only.")] + .span + .page,
        reply: .page(.named(.ledgerLine)))

    private static let statementOperation = Operation(
        .billing, "statement", "A month's statement.",
        [
            .path(
                "file", .string(pattern: #"^[0-9]{4}-[0-9]{2}\.(csv|pdf|json)$"#),
                "YYYY-MM.csv, .pdf or .json.")
        ],
        replies: [
            Operation.Reply(
                status: .ok, text: "The statement, as a file.",
                contents: [
                    ("application/json", .object([])), ("text/csv", .string), ("application/pdf", .string),
                ])
        ])

    // MARK: Ledger

    private func ledger(_ request: Request, _ context: ControlContext) async throws -> Response {
        let account = try await self.credentials.account(of: request).account
        let query = try Self.query(request.uri.queryParameters, of: account)
        let entries: [LedgerEntry]
        do {
            entries = try await self.history.ledger(query)
        } catch {
            throw Self.unreadable(error, context)
        }
        return Self.page(entries, query)
    }

    static func page(_ entries: [LedgerEntry], _ query: LedgerQuery) -> Response {
        // A full page may have been the last one; then the next is empty.
        let next = entries.count == query.limit ? entries.last.map { LedgerCursor.text(after: $0.line) } : nil
        return AdminReplies.page(entries.map(Self.entry), next: next)
    }

    static func query(_ parameters: Parameters, of account: AccountID) throws -> LedgerQuery {
        var query = LedgerQuery(account: account, limit: try BillingRoutes.limit(parameters))
        query.from = try BillingRoutes.instant(parameters, "from")
        query.to = try BillingRoutes.instant(parameters, "to")
        if let text = parameters["type"] {
            guard let type = LedgerLineType(rawValue: String(text)) else {
                let known = LedgerLineType.allCases.map(\.rawValue).joined(separator: ", ")
                throw APIError.badRequest("type", "'type' must be one of: \(known).")
            }
            query.type = type
        }
        if let text = parameters["cursor"] {
            guard let version = LedgerCursor.version(String(text)) else {
                throw APIError.badRequest("cursor", "'cursor' must be the 'nextCursor' of a page.")
            }
            query.before = version
        }
        return query
    }

    private static func entry(_ entry: LedgerEntry) -> JSONValue {
        var members = BillingRoutes.members(of: entry.line)
        if let purchase = entry.purchase {
            members.append(("purchaseId", .string(purchase.description)))
            members.append(("receiptUrl", entry.receiptURL.map { .string($0) } ?? .null))
        }
        return .object(members)
    }

    // MARK: Statements

    private static let noStatement = APIError(
        status: .notFound,
        message:
            "There is no such statement: ask for YYYY-MM.csv, .pdf or .json, from the account's first month to this one.",
        code: "statement_not_found")

    private func statement(_ request: Request, _ context: ControlContext) async throws -> Response {
        let account = try await self.credentials.account(of: request).account
        guard let file = context.parameters.get("file"), let wanted = StatementFile(file) else {
            throw Self.noStatement
        }
        let issued: IssuedStatement?
        do {
            issued = try await self.history.statement(of: account, month: wanted.month)
        } catch {
            throw Self.unreadable(error, context)
        }
        guard let issued else { throw Self.noStatement }
        let body =
            switch wanted.format {
            case .csv: ByteBuffer(string: issued.statement.csv)
            case .json: ByteBuffer(string: issued.statement.json)
            case .pdf: ByteBuffer(bytes: try await self.print(issued, context))
            }
        let name = "statement-\(issued.statement.number).\(wanted.format.rawValue)"
        return Response(
            status: .ok,
            headers: [
                .contentType: wanted.format.contentType,
                .contentDisposition: "attachment; filename=\"\(name)\"",
            ], body: ResponseBody(byteBuffer: body))
    }

    private func print(_ issued: IssuedStatement, _ context: ControlContext) async throws -> [UInt8] {
        do throws(StatementPrintingFailure) {
            return try await self.printer.pdf(issued)
        } catch {
            switch error {
            case .busy:
                throw APIError(
                    status: .serviceUnavailable, message: "Too many documents are being made; try again.",
                    code: "busy", headers: [.retryAfter: "2"])
            case .failed(let reason):
                context.logger.error("statement not printed", metadata: ["reason": "\(reason)"])
                throw APIError.internalError
            }
        }
    }

    /// A ledger that does not add up is no passing trouble: nothing is shown, and somebody must look.
    private static func unreadable(_ error: any Error, _ context: ControlContext) -> APIError {
        if let failure = error as? StatementFailure {
            context.logger.critical("statement does not add up", metadata: ["failure": "\(failure)"])
            return .internalError
        }
        context.logger.warning("ledger not readable", metadata: ["error": "\(type(of: error))"])
        return .unavailable
    }
}

/// `2026-03.pdf`.
struct StatementFile: Hashable {
    enum Format: String {
        case csv, pdf, json

        var contentType: String {
            switch self {
            case .csv: "text/csv; charset=utf-8; header=present"
            case .pdf: "application/pdf"
            case .json: "application/json"
            }
        }
    }

    var month: UTCMonth
    var format: Format

    init?(_ name: String) {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, let month = UTCMonth(text: parts[0]),
            let format = Format(rawValue: String(parts[1]))
        else { return nil }
        self.month = month
        self.format = format
    }
}

/// Where a page ended. Its text is nobody's to read: what is in it may change.
enum LedgerCursor {
    private static let prefix = "l1-"

    static func text(after line: LedgerLine) -> String {
        self.prefix + String(UInt64(bitPattern: line.version), radix: 36)
    }

    /// nil: nothing that `text(after:)` made.
    static func version(_ text: String) -> Int64? {
        guard text.hasPrefix(self.prefix) else { return nil }
        let digits = text.dropFirst(self.prefix.count)
        guard let version = Int64(digits, radix: 36), version > 0, String(version, radix: 36) == digits else {
            return nil
        }
        return version
    }
}
