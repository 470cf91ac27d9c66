import Billing

/// Who issues the statement, as the page shows it.
public struct Letterhead: Sendable, Hashable {
    /// The most lines that fit beside the statement's own figures.
    public static let addressLinesMax = 8

    public let operatorName: String
    /// Street, city, tax number: as the operator wants them.
    public let address: [String]
    /// A PNG, scaled into a box of 150 × 44 points; nil: the operator's name stands there.
    public let logoPath: String?
    /// Printed, and the creation date of the document: the same statement issued on the same day is the same
    /// file.
    public let issued: UTCDay

    /// - Throws: `.addressTooLong`.
    public init(
        operatorName: String, address: [String], logoPath: String?, issued: UTCDay
    ) throws(StatementPDFFailure) {
        guard address.count <= Self.addressLinesMax else { throw .addressTooLong(lines: address.count) }
        self.operatorName = operatorName
        self.address = address
        self.logoPath = logoPath
        self.issued = issued
    }

    /// Reads the file once, so that a wrong one is found before a statement needs it. Blocks.
    public static func checkLogo(_ path: String) throws(StatementPDFFailure) { _ = try LogoImage(path: path) }
}

/// Why there is no document.
public enum StatementPDFFailure: Error, Sendable, Hashable {
    /// More than `Letterhead.addressLinesMax`.
    case addressTooLong(lines: Int)
    /// The logo cannot be read as a PNG, or is larger than 4,096 pixels a side; names the file and says why.
    case logo(path: String, reason: String)
    /// Cairo gave up, such as without memory; says why.
    case drawing(reason: String)
}
