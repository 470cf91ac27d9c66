/// The tables that this process has, at most one of each encoding. Shared by all loops.
public struct EncodingTables: Sendable {
    private var tables: [TokenEncoding: TokenTable] = [:]

    public init(_ tables: [TokenTable] = []) {
        for table in tables { self.tables[table.encoding] = table }
    }

    /// nil: texts of this encoding cannot be counted, and are held for by their bytes.
    public subscript(_ encoding: TokenEncoding) -> TokenTable? { self.tables[encoding] }
}
