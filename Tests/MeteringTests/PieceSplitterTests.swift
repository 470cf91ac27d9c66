import Testing

@testable import Metering

/// Each rule by which text is cut, and each way to get it wrong. What is expected is what tiktoken's patterns match.
@Suite struct PieceSplitterTests {
    private static let small = SmallVocabulary(seed: 1, alphabet: "ab", merges: 0)
    private static let o200kTable = Result { try small.table(.o200kBase) }
    private static let cl100kTable = Result { try small.table(.cl100kBase) }

    private func o200k(_ text: String) throws -> [String] {
        try Tokenizer(Self.o200kTable.get()).pieces(text)
    }

    private func cl100k(_ text: String) throws -> [String] {
        try Tokenizer(Self.cl100kTable.get()).pieces(text)
    }

    @Test func wordsTakeTheCharacterInFrontOfThem() throws {
        let text = "a b\tc\u{a0}d(e"
        #expect(try self.o200k(text) == ["a", " b", "\tc", "\u{a0}d", "(e"])
        #expect(try self.cl100k(text) == ["a", " b", "\tc", "\u{a0}d", "(e"])
        #expect(try self.o200k("\na\r'b") == ["\n", "a", "\r", "'b"])
    }

    @Test func capitalsBeginAWordOfO200kOnly() throws {
        #expect(try self.o200k("camelCaseXMLHttp") == ["camel", "Case", "XMLHttp"])
        #expect(try self.cl100k("camelCaseXMLHttp") == ["camelCaseXMLHttp"])
        #expect(try self.o200k("éÀéaÀ") == ["é", "Àéa", "À"])
    }

    /// The run of capitals and caseless letters goes back to its last caseless letter.
    @Test func withoutASmallLetterAWordEndsAtItsLastCaselessLetter() throws {
        #expect(try self.o200k("中AB") == ["中", "AB"])
        #expect(try self.o200k("中AB!") == ["中", "AB", "!"])
        #expect(try self.o200k("中ABc") == ["中ABc"])
        #expect(try self.o200k("A中B中CD's") == ["A中B中", "CD's"])
        #expect(try self.o200k(" 中A's") == [" 中", "A's"])
        #expect(try self.o200k("中's") == ["中's"])
        #expect(try self.cl100k("中AB") == ["中AB"])
    }

    @Test func titleCaseIsACapitalAndModifiersHaveNoCase() throws {
        #expect(try self.o200k("aǅa") == ["a", "ǅa"])
        #expect(try self.o200k("ʰAB") == ["ʰ", "AB"])
        #expect(try self.o200k("ªa") == ["ªa"])
    }

    /// A mark is a letter to o200k_base, and may also stand in front of a word, but not in front of capitals alone.
    @Test func marksAreInWordsOfO200kOnly() throws {
        #expect(try self.o200k("a\u{301}b") == ["a\u{301}b"])
        #expect(try self.o200k("\u{301}ab") == ["\u{301}ab"])
        #expect(try self.o200k("\u{301}AB") == ["\u{301}", "AB"])
        #expect(try self.o200k("\u{301}A中B") == ["\u{301}A中", "B"])
        #expect(try self.o200k("\u{301}'s") == ["\u{301}'s"])
        #expect(try self.o200k(" \u{301}!") == [" \u{301}", "!"])
        #expect(try self.o200k("!!\u{301}!") == ["!!\u{301}!"])
        #expect(try self.cl100k("a\u{301}b") == ["a", "\u{301}b"])
        #expect(try self.cl100k("a\u{301}\u{301}b") == ["a", "\u{301}\u{301}", "b"])
        #expect(try self.cl100k(" \u{301}!") == [" \u{301}!"])
    }

    @Test func contractionsBelongToTheWordInO200k() throws {
        #expect(
            try self.o200k("it's I'LL we'Ve don't x'dy") == [
                "it's", " I'LL", " we'Ve", " don't", " x'd", "y",
            ])
        #expect(
            try self.o200k("a'q b' c'r d'v e'l") == [
                "a", "'q", " b", "'", " c", "'r", " d", "'v", " e", "'l",
            ])
        #expect(try self.o200k("!'s") == ["!'", "s"])
    }

    @Test func contractionsAreWordsInCl100k() throws {
        #expect(try self.cl100k("it's I'LL") == ["it", "'s", " I", "'LL"])
        #expect(try self.cl100k("'story 'rest 'll've") == ["'s", "tory", " '", "rest", " '", "ll", "'ve"])
        #expect(try self.cl100k("a'b '") == ["a", "'b", " '"])
    }

    /// U+017F is an s without regard to case; U+212A, the Kelvin sign, is no letter of any contraction.
    @Test func theLongSIsAnS() throws {
        #expect(try self.o200k("a'ſb") == ["a'ſ", "b"])
        #expect(try self.cl100k("a'ſb") == ["a", "'ſ", "b"])
        #expect(try self.o200k("a'Kb") == ["a", "'Kb"])
    }

    @Test func numbersAreOfThreeScalars() throws {
        #expect(try self.o200k("12345 67") == ["123", "45", " ", "67"])
        #expect(try self.o200k("²Ⅷ١½a") == ["²Ⅷ١", "½", "a"])
        #expect(try self.cl100k("1234a") == ["123", "4", "a"])
    }

    @Test func punctuationTakesLineBreaksAndInO200kSlashes() throws {
        #expect(try self.o200k("a !?\r\n\n/\n/b") == ["a", " !?\r\n\n/\n/", "b"])
        #expect(try self.cl100k("a !?\r\n\n/\n/b") == ["a", " !?\r\n\n", "/\n", "/b"])
        #expect(try self.o200k("  !") == [" ", " !"])
        #expect(try self.o200k("\t!") == ["\t", "!"])
    }

    @Test func whiteSpaceEndsBehindItsLastLineBreak() throws {
        for pieces in [try self.o200k(" \n \r\n  x"), try self.cl100k(" \n \r\n  x")] {
            #expect(pieces == [" \n \r\n", " ", " x"])
        }
        #expect(try self.o200k("a\n\n\nb") == ["a", "\n\n\n", "b"])
    }

    @Test func whiteSpaceLeavesItsLastCharacterToWhatFollows() throws {
        for pieces in [try self.o200k("a   b  1\t\t!"), try self.cl100k("a   b  1\t\t!")] {
            #expect(pieces == ["a", "  ", " b", " ", " ", "1", "\t", "\t", "!"])
        }
    }

    @Test func whiteSpaceAtTheEndIsOnePieceButForLineBreaksInO200k() throws {
        #expect(try self.o200k("a   ") == ["a", "   "])
        #expect(try self.o200k("a \n  ") == ["a", " \n", "  "])
        #expect(try self.cl100k("a \n  ") == ["a", " \n  "])
        #expect(try self.cl100k(" \n") == [" \n"])
    }

    /// White_Space, not what C calls space: U+001C to U+001F are none, U+0085, U+00A0 and U+3000 are.
    @Test func whiteSpaceIsUnicodes() throws {
        #expect(try self.o200k("\u{85}\u{3000}\u{a0}1") == ["\u{85}\u{3000}", "\u{a0}", "1"])
        #expect(try self.o200k("\u{1c}\u{1f} 1") == ["\u{1c}\u{1f}", " ", "1"])
        #expect(try self.o200k("\u{200b}1") == ["\u{200b}", "1"])
    }

    /// Letters of Unicode 17 are not known to tiktoken 0.14: the same for ever, whatever the toolchain.
    @Test func scalarsNewerThanUnicode16AreNoLetters() throws {
        // U+A7D2 came with Unicode 17.
        #expect(try self.o200k("a\u{a7d2}\u{a7d2}'s") == ["a", "\u{a7d2}\u{a7d2}'", "s"])
    }

    @Test func specialTokensAreOrdinaryText() throws {
        #expect(try self.o200k("<|endoftext|>") == ["<|", "endoftext", "|>"])
    }
}
