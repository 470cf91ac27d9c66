import Testing

@testable import Metering

@Suite struct TokenTableTests {
    private static let small = SmallVocabulary(seed: 2, alphabet: "abc -", merges: 300)

    private func fault(_ change: (inout [[UInt8]]) -> Void) -> TokenVocabularyFault? {
        var tokens = Self.small.tokens
        change(&tokens)
        return self.fault(SmallVocabulary.tiktoken(tokens))
    }

    private func fault(_ text: [UInt8]) -> TokenVocabularyFault? {
        do throws(TokenVocabularyFault) {
            _ = try TokenTableBuilder.build(.o200kBase, vocabulary: text)
            return nil
        } catch {
            return error
        }
    }

    private func tableFault(_ bytes: [UInt8]) -> TokenTableFault? {
        do throws(TokenTableFault) {
            _ = try TokenTable(copying: bytes)
            return nil
        } catch {
            return error
        }
    }

    @Test func vocabulariesThatAreNoneAreRefused() {
        let good = String(decoding: Self.small.tiktoken, as: UTF8.self)
        func changed(_ old: String, _ new: String) -> [UInt8] {
            Array(good.replacing(old, with: new, maxReplacements: 1).utf8)
        }
        #expect(self.fault(Array(good.utf8)) == nil)
        #expect(self.fault([]) == .empty)
        #expect(self.fault(Array(good.utf8.dropLast())) == .line(Self.small.tokens.count))
        #expect(self.fault(changed("AQ== 1\n", "AQ==1\n")) == .line(2))
        #expect(self.fault(changed("AQ== 1\n", "\n")) == .line(2))
        #expect(self.fault(changed("AQ== 1\n", "AQ= 1\n")) == .base64(line: 2))
        #expect(self.fault(changed("AQ== 1\n", "A=Q= 1\n")) == .base64(line: 2))
        #expect(self.fault(changed("AQ== 1\n", "AR== 1\n")) == .base64(line: 2))
        #expect(self.fault(changed("AQ== 1\n", "A*== 1\n")) == .base64(line: 2))
        #expect(self.fault(changed("AQ== 1\n", " 1\n")) == .base64(line: 2))
        #expect(self.fault(changed("AQ== 1\n", "==== 1\n")) == .base64(line: 2))
        for rank in ["2", "01", "-1", "", "1 ", "1\r", "99999999999999999999"] {
            #expect(self.fault(changed("AQ== 1\n", "AQ== \(rank)\n")) == .rank(line: 2))
        }
        #expect(self.fault(changed("AQ== 1\nAg== 2\n", "Ag== 2\nAQ== 1\n")) == .rank(line: 2))
    }

    @Test func tokensThatCannotBeAreRefused() {
        #expect(self.fault { $0.swapAt(1, 2) } == nil)
        #expect(self.fault { $0.append($0[7]) } == .duplicate(line: Self.small.tokens.count + 1))
        #expect(self.fault { $0[7] = [1, 2] } == .missingByte(7))
        let long = [UInt8](repeating: 0x41, count: 129)
        #expect(self.fault { $0.append(long) } == .tokenTooLong(line: Self.small.tokens.count + 1))
        // Three bytes of which no two merge.
        #expect(self.fault { $0.append([1, 2, 3]) } == .unreachable(line: Self.small.tokens.count + 1))
    }

    @Test func theSameVocabularyGivesTheSameBytes() throws {
        let first = try TokenTableBuilder.build(.o200kBase, vocabulary: Self.small.tiktoken)
        #expect(try TokenTableBuilder.build(.o200kBase, vocabulary: Self.small.tiktoken) == first)
        #expect(try TokenTable(copying: first).encoding == .o200kBase)
        #expect(try TokenTable(copying: first).tokens == Self.small.tokens.count)
    }

    @Test func damagedTablesAreRefused() throws {
        let good = try TokenTableBuilder.build(.cl100kBase, vocabulary: Self.small.tiktoken)
        func changed(word: Int, _ value: UInt8) -> [UInt8] {
            var bytes = good
            bytes[word * 8] = value
            return bytes
        }
        #expect(self.tableFault([]) == .notATable)
        #expect(self.tableFault(Array(good.prefix(511))) == .notATable)
        #expect(self.tableFault(changed(word: 0, 0)) == .notATable)
        #expect(self.tableFault(changed(word: 1, 9)) == .version(9))
        #expect(self.tableFault(changed(word: 2, 9)) == .unknownEncoding(9))
        #expect(
            self.tableFault(Array(good.dropLast(64)))
                == .length(expected: UInt64(good.count), found: good.count - 64))
        #expect(self.tableFault(good + [0]) == .length(expected: UInt64(good.count), found: good.count + 1))
        #expect(self.tableFault(changed(word: 4, good[32] ^ 1)) == .checksum)
    }

    /// One bit anywhere behind the first words is found by the checksum, or the table is not used.
    @Test func everyFlippedBitIsFound() throws {
        let good = try TokenTableBuilder.build(.o200kBase, vocabulary: Self.small.tiktoken)
        let sum = good.withUnsafeBytes { TokenTableFormat.checksum($0) }
        var random = SeededRandom(3)
        for _ in 0..<20 {
            var bytes = good
            let place = Int.random(in: 40..<good.count, using: &random)
            bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            #expect(bytes.withUnsafeBytes { TokenTableFormat.checksum($0) } != sum, "byte \(place)")
        }
    }

    /// A wrong builder's table has a right checksum; it is refused before a lookup leaves it.
    @Test func sectionsOutsideOfTheTableAreRefused() throws {
        let good = try TokenTableBuilder.build(.o200kBase, vocabulary: Self.small.tiktoken)
        for section in TokenTableFormat.Section.allCases {
            for half in 0..<2 {
                var bytes = good
                bytes[(TokenTableFormat.Head.sections + 2 * section.rawValue + half) * 8 + 6] = 1
                let sum = bytes.withUnsafeBytes { TokenTableFormat.checksum($0) }
                for index in 0..<8 { bytes[32 + index] = UInt8(truncatingIfNeeded: sum >> (8 * index)) }
                #expect(self.tableFault(bytes) == .section(section.rawValue))
            }
        }
    }

    @Test func memoryThatIsNotAlignedIsRefused() throws {
        final class Shifted: TokenTableMemory, @unchecked Sendable {
            let all: UnsafeMutableRawBufferPointer
            let bytes: UnsafeRawBufferPointer
            init(_ source: [UInt8]) {
                self.all = .allocate(byteCount: source.count + 8, alignment: 64)
                UnsafeMutableRawBufferPointer(rebasing: self.all[8...]).copyBytes(from: source)
                self.bytes = UnsafeRawBufferPointer(rebasing: self.all[8...])
            }
            deinit { self.all.deallocate() }
        }
        let good = try TokenTableBuilder.build(.o200kBase, vocabulary: Self.small.tiktoken)
        #expect(throws: TokenTableFault.misaligned) { try TokenTable(Shifted(good)) }
    }
}
