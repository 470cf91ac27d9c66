import Testing

@testable import Tollgate

@Suite struct VerifyFindingsTests {
    @Test func onlyViolationsMakeVerifyFail() {
        var findings = VerifyFindings()
        findings.add(.note, "I9 a", ["x"])
        findings.add(.warning, "R6 b", ["y"])
        findings.add(.violation, "R1 nothing", [])
        #expect(findings.isClean && findings.all.count == 2)
        findings.add(.violation, "R1 c", ["z"])
        #expect(!findings.isClean)
    }

    /// Journals are compared in chunks: a check is one finding with its true total, whatever is printed of it.
    @Test func theSameCheckFoundInPartsIsOneFinding() {
        var findings = VerifyFindings()
        for part in 0..<3 {
            findings.add(.violation, "I9 a", (0..<15).map { "row \(part * 15 + $0)" })
        }
        findings.add(.note, "I9 a", ["another severity is another finding"])
        #expect(findings.all.map(\.total) == [45, 1])
        #expect(findings.all[0].rows == (0..<VerifyFinding.rowsMax).map { "row \($0)" })
    }

    @Test func jsonIsAnArrayOfFindings() throws {
        var findings = VerifyFindings()
        #expect(try findings.json().filter { !$0.isWhitespace } == "[]")
        findings.add(.violation, "R4 c", ["a/b"])
        #expect(
            try findings.json().filter { !$0.isWhitespace }
                == #"[{"check":"R4c","rows":["a/b"],"severity":"violation","total":1}]"#)
    }
}
