import Billing
import StatementPDF

/// `STATEMENT_*`: who issues statements. What is printed is checked before anything starts.
struct StatementSettings: Sendable {
    var operatorName: String
    var address: [String]
    /// A PNG file.
    var logoPath: String?

    private static let lineBytesMax = 200

    init(_ reader: inout SettingsReader) {
        self.operatorName = reader.text("STATEMENT_NAME") ?? "Tollgate"
        self.address = (reader.text("STATEMENT_ADDRESS") ?? "")
            .split { $0.isNewline || $0 == "|" }.map { String($0.trimmingBlanks) }
        self.logoPath = reader.text("STATEMENT_LOGO")
        if !Self.isPrintable(self.operatorName) {
            reader.reject("STATEMENT_NAME", "must be one line of at most \(Self.lineBytesMax) bytes")
        }
        if self.address.count > Letterhead.addressLinesMax || !self.address.allSatisfy(Self.isPrintable) {
            reader.reject(
                "STATEMENT_ADDRESS",
                "must be at most \(Letterhead.addressLinesMax) lines of at most \(Self.lineBytesMax) bytes")
        }
        if let logoPath {
            do throws(StatementPDFFailure) {
                try Letterhead.checkLogo(logoPath)
            } catch {
                reader.reject("STATEMENT_LOGO", "must be a PNG file: \(Self.text(error))")
            }
        }
    }

    /// The document, or why there is none. Takes milliseconds.
    func pdf(_ issued: IssuedStatement) -> Result<[UInt8], StatementPrintingFailure> {
        do throws(StatementPDFFailure) {
            let letterhead = try Letterhead(
                operatorName: self.operatorName, address: self.address, logoPath: self.logoPath,
                issued: issued.issued)
            return .success(try StatementPDF.render(issued.statement, letterhead))
        } catch {
            return .failure(.failed(Self.text(error)))
        }
    }

    private static func isPrintable(_ line: String) -> Bool {
        line.utf8.count <= self.lineBytesMax
            && !line.unicodeScalars.contains { $0.properties.generalCategory == .control }
    }

    private static func text(_ failure: StatementPDFFailure) -> String {
        switch failure {
        case .addressTooLong(let lines): "\(lines) lines of address"
        case .logo(_, let reason), .drawing(let reason): reason
        }
    }
}
