/// Comparing what was given with a secret.
public enum ConstantTime {
    /// Looks at every byte whatever the first difference; only whether the lengths differ shows in its time.
    public static func areEqual(_ given: some Collection<UInt8>, _ expected: some Collection<UInt8>) -> Bool {
        guard given.count == expected.count else { return false }
        // `|` and `^` have one precedence in Swift.
        return zip(given, expected).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
