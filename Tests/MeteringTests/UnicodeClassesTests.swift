import Testing

@testable import Metering

@Suite struct UnicodeClassesTests {
    /// Changing a class changes tokens, and so bills.
    @Test func classesAreFrozen() {
        var sum: UInt64 = 0xcbf2_9ce4_8422_2325
        for scalarClass in UnicodeClasses.all() { sum = (sum ^ UInt64(scalarClass)) &* 0x100_0000_01b3 }
        #expect(sum == 0x9d54_0669_cd61_84c3)
    }

    @Test func blocksAreTheClassesAgain() {
        let (numbers, classes) = UnicodeClasses.blocks
        let all = UnicodeClasses.all()
        let again = numbers.flatMap { classes[Int($0) * 128..<Int($0) * 128 + 128] }
        #expect(again == all)
    }

    /// Where this toolchain's Unicode and the frozen one differ, one of them is wrong about a scalar that both know, or
    /// a newer Unicode has changed it: then tiktoken has to be asked. Nothing the tokenizer does depends on it.
    @Test func theToolchainAgreesOnAllThatUnicode16Has() {
        let all = UnicodeClasses.all()
        var differences: [UInt32] = []
        for value in UInt32(0)..<0x110000 {
            let expected = Unicode.Scalar(value).map(Self.classOf) ?? 0
            if all[Int(value)] != expected { differences.append(value) }
        }
        #expect(differences == [])
    }

    private static func classOf(_ scalar: Unicode.Scalar) -> UInt8 {
        if scalar == "\n" || scalar == "\r" { return CharacterClass.space | CharacterClass.lineBreak }
        let properties = scalar.properties
        guard let age = properties.age, age.major <= 16 else { return 0 }
        if properties.isWhitespace { return CharacterClass.space }
        return switch properties.generalCategory {
        case .uppercaseLetter, .titlecaseLetter: CharacterClass.upper | CharacterClass.letter
        case .lowercaseLetter: CharacterClass.lower | CharacterClass.letter
        case .modifierLetter, .otherLetter: CharacterClass.caseless | CharacterClass.letter
        case .nonspacingMark, .spacingMark, .enclosingMark: CharacterClass.caseless
        case .decimalNumber, .letterNumber, .otherNumber: CharacterClass.number
        default: 0
        }
    }
}
