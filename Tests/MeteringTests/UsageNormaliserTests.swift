import Testing

@testable import Metering

/// One rule for the usage of all endpoints: disjoint parts that add up to what was reported.
@Suite struct UsageNormaliserTests {
    /// A partition is reported the way the API does, whose details overlap, and comes back as it was.
    @Test func whatIsReportedIsPartitionedAgain() throws {
        let seed = UInt64.random(in: .min ... .max)
        print("UsageNormaliserTests, seed \(seed)")
        var dice = SplitMix64(state: seed)
        for round in 0..<50_000 {
            let usage = Self.random(using: &dice)
            let report = Self.report(of: usage, using: &dice)
            var limits = UsageLimits(inputMax: 100_000, outputMax: 100_000)
            (limits.audioIsPriced, limits.longWritesArePriced) = (true, true)
            let read = try? Usage(report, within: limits)
            guard read == usage, read?.inputTotal == report.inputTokens,
                read?.outputTotal == report.outputTokens
            else {
                Issue.record("seed \(seed) round \(round): \(usage) was read as \(String(describing: read))")
                return
            }
        }
    }

    /// Whatever a report says, the parts are never negative and add up to its totals, or it is not believed.
    @Test func noReportGivesPartsThatDoNotAddUp() {
        let seed = UInt64.random(in: .min ... .max)
        print("UsageNormaliserTests.any, seed \(seed)")
        var dice = SplitMix64(state: seed)
        var believed = 0
        for round in 0..<200_000 {
            let report = Self.anything(using: &dice)
            var limits = UsageLimits(inputMax: 50, outputMax: 50)
            limits.audioIsPriced = Bool.random(using: &dice)
            limits.longWritesArePriced = Bool.random(using: &dice)
            limits.writesForTwelveHours = Bool.random(using: &dice)
            guard let usage = try? Usage(report, within: limits) else { continue }
            believed += 1
            let parts = [
                usage.input, usage.cachedInput, usage.cacheWrite, usage.cacheWriteLong, usage.output,
                usage.reasoning, usage.audio.input, usage.audio.cachedInput, usage.audio.output,
                usage.image.input, usage.image.cachedInput, usage.image.output,
            ]
            guard parts.allSatisfy({ $0 >= 0 }), usage.inputTotal == report.inputTokens,
                usage.outputTotal == report.outputTokens,
                usage.cachedInput + usage.audio.cachedInput + usage.image.cachedInput
                    == report.cachedTokens ?? 0,
                limits.audioIsPriced || usage.audio.isZero,
                limits.longWritesArePriced || usage.cacheWriteLong == 0
            else {
                Issue.record("seed \(seed) round \(round): \(report) was read as \(usage)")
                return
            }
        }
        #expect(believed > 1_000, "hardly any report was believed: nothing was tested")
    }

    @Test func anEndpointWithoutOutputNeedsNone() throws {
        var report = ReportedUsage()
        (report.inputTokens, report.totalTokens) = (8, 8)
        var limits = UsageLimits(inputMax: 10, outputMax: 0)
        #expect(throws: UsageDistrust.malformed) { try Usage(report, within: limits) }
        limits.outputIsOptional = true
        #expect(try Usage(report, within: limits) == Usage(input: 8, output: 0))
    }

    @Test func howLongAWriteStaysIsAsReportedElseAsRequested() throws {
        var report = ReportedUsage()
        (report.inputTokens, report.outputTokens, report.cacheWriteTokens) = (100, 1, 60)
        var limits = UsageLimits(inputMax: 100, outputMax: 1)
        #expect(try Usage(report, within: limits).cacheWrite == 60)
        limits.writesForTwelveHours = true
        #expect(throws: UsageDistrust.unpriced) { try Usage(report, within: limits) }
        limits.longWritesArePriced = true
        #expect(try Usage(report, within: limits).cacheWriteLong == 60)
        (report.cacheWrite30MinuteTokens, report.cacheWrite12HourTokens) = (40, 20)
        let read = try Usage(report, within: limits)
        #expect(read.cacheWrite == 40 && read.cacheWriteLong == 20 && read.input == 40)
        report.cacheWrite12HourTokens = 21
        #expect(throws: UsageDistrust.inconsistent) { try Usage(report, within: limits) }
    }

    /// A cache knows the beginning of a prompt, which is text, unless the report says otherwise.
    @Test func cachedTokensOfUnknownKindAreTextFirst() throws {
        var report = ReportedUsage()
        (report.inputTokens, report.outputTokens, report.cachedTokens) = (100, 0, 70)
        (report.inputImageTokens, report.inputAudioTokens) = (30, 20)
        var limits = UsageLimits(inputMax: 100, outputMax: 0)
        limits.audioIsPriced = true
        let read = try Usage(report, within: limits)
        #expect(read.cachedInput == 50 && read.input == 0)
        #expect(read.image == MediaTokens(input: 10, cachedInput: 20))
        #expect(read.audio == MediaTokens(input: 20))
        report.cachedAudioTokens = 15
        #expect(try Usage(report, within: limits).audio == MediaTokens(input: 5, cachedInput: 15))
    }

    // MARK: Random reports

    private static func random(using dice: inout SplitMix64) -> Usage {
        func some() -> Int64 { Bool.random(using: &dice) ? 0 : .random(in: 0...5_000, using: &dice) }
        var usage = Usage(
            input: some(), cachedInput: some(), cacheWrite: some(), output: some(), reasoning: some())
        usage.cacheWriteLong = some()
        usage.audio = MediaTokens(input: some(), cachedInput: some(), output: some())
        usage.image = MediaTokens(input: some(), cachedInput: some(), output: some())
        return usage
    }

    private static func report(of usage: Usage, using dice: inout SplitMix64) -> ReportedUsage {
        /// An explicit 0 and nothing mean the same for a detail.
        func detail(_ value: Int64) -> Int64? { value == 0 && Bool.random(using: &dice) ? nil : value }
        var report = ReportedUsage()
        (report.inputTokens, report.outputTokens) = (usage.inputTotal, usage.outputTotal)
        report.totalTokens = Bool.random(using: &dice) ? nil : usage.inputTotal + usage.outputTotal
        let (audio, image) = (usage.audio, usage.image)
        report.cachedTokens = detail(usage.cachedInput + audio.cachedInput + image.cachedInput)
        report.cachedAudioTokens = detail(audio.cachedInput)
        report.cachedImageTokens = detail(image.cachedInput)
        report.inputAudioTokens = detail(audio.input + audio.cachedInput)
        report.inputImageTokens = detail(image.input + image.cachedInput)
        report.cacheWriteTokens = detail(usage.cacheWrite + usage.cacheWriteLong)
        report.cacheWrite12HourTokens = detail(usage.cacheWriteLong)
        let isTold = usage.cacheWriteLong > 0 || report.cacheWrite12HourTokens != nil
        report.cacheWrite30MinuteTokens = isTold ? usage.cacheWrite : detail(usage.cacheWrite)
        report.reasoningTokens = detail(usage.reasoning)
        report.outputAudioTokens = detail(audio.output)
        report.outputImageTokens = detail(image.output)
        return report
    }

    private static func anything(using dice: inout SplitMix64) -> ReportedUsage {
        func count() -> Int64? {
            switch Int.random(in: 0..<8, using: &dice) {
            case 0..<4: nil
            case 4: [.min, -1, 0, .max, 9_000_000_000_000_000_000].randomElement(using: &dice)
            default: .random(in: 0...60, using: &dice)
            }
        }
        var report = ReportedUsage()
        report.inputTokens = .random(in: 0...60, using: &dice)
        report.outputTokens = .random(in: 0...60, using: &dice)
        if Bool.random(using: &dice) { (report.inputTokens, report.outputTokens) = (count(), count()) }
        let details: [WritableKeyPath<ReportedUsage, Int64?>] = [
            \.totalTokens, \.cachedTokens, \.cachedAudioTokens, \.cachedImageTokens, \.cacheWriteTokens,
            \.cacheWrite30MinuteTokens, \.cacheWrite12HourTokens, \.inputAudioTokens, \.inputImageTokens,
            \.inputTextTokens, \.reasoningTokens, \.outputAudioTokens, \.outputImageTokens,
            \.outputTextTokens,
        ]
        for detail in details where Int.random(in: 0..<4, using: &dice) == 0 {
            report[keyPath: detail] = count()
        }
        return report
    }
}
