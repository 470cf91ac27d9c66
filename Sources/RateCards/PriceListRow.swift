import Metering

/// One row of a price list, with the rates of each tier as written. Columns: `ratecards/README.md`.
struct PriceListRow: Sendable {
    /// Amounts by part, as written; nil: the list names none.
    struct Rates: Sendable, Hashable {
        private var named: [RateCard.Part: String] = [:]

        init() {}

        init(input: String, cachedInput: String?, cacheWrite: String?, output: String) {
            self[.input] = input
            self[.cachedInput] = cachedInput
            self[.cacheWrite] = cacheWrite
            self[.output] = output
        }

        subscript(part: RateCard.Part) -> String? {
            get { self.named[part] }
            set { self.named[part] = newValue }
        }

        func amount(_ part: RateCard.Part) -> ExactDecimal? {
            self[part].flatMap { try? ExactDecimal(parsing: $0) }
        }

        func names(_ medium: RateCard.Medium) -> Bool { medium.parts.contains { self[$0] != nil } }

        /// OpenAI documents a write for 12 hours as twice the input price, at whatever tier and length.
        mutating func addLongWrites() {
            let two = ExactDecimal(coefficient: 2, scale: 0)
            self[.cacheWriteLong] = self.amount(.input)?.multiplied(by: two)?.description
        }
    }

    /// Where the parts of a tier's long rates come from that the list has no column for.
    enum LongOrigin: Sendable {
        case inProportion
        case dearerOfShortAndStandard
    }

    static let tiers: [ServiceTier] = [.flex, .priority, .batch, .ultrafast]

    private static let standardColumns: [(RateCard.Part, String)] = [
        (.input, "input_usd_per_1m"), (.cachedInput, "cached_input_usd_per_1m"),
        (.cacheWrite, "cache_write_usd_per_1m"), (.output, "output_usd_per_1m"),
        (.audioInput, "audio_in_usd_per_1m"), (.audioCachedInput, "audio_in_cached_usd_per_1m"),
        (.audioOutput, "audio_out_usd_per_1m"), (.imageInput, "image_in_usd_per_1m"),
        (.imageCachedInput, "image_in_cached_usd_per_1m"), (.imageOutput, "image_out_usd_per_1m"),
        (.second, "input_usd_per_second"), (.characters, "input_usd_per_1m_chars"),
    ]

    let cells: [String: String]
    private(set) var standard = Rates()
    /// What was put right while reading, for the reviewer.
    private(set) var repairs: [String] = []

    init(_ cells: [String: String]) {
        self.cells = cells
        for (part, column) in Self.standardColumns { self.standard[part] = cells[column] }
        self.moveCachedInput()
        self.addLongWrites()
        if cells["mode"] == "audio_transcription" { self.chooseTokensOrSeconds() }
        if cells["mode"] == "audio_speech" { self.takeSpeechAsAudio() }
    }

    // MARK: What is put right

    /// Writing to the cache never costs less than plain input; reading from it does.
    private mutating func moveCachedInput() {
        guard self.standard[.cachedInput] == nil, let input = self.standard.amount(.input),
            let write = self.standard.amount(.cacheWrite), write.isLess(than: input)
        else { return }
        self.standard[.cachedInput] = self.standard[.cacheWrite]
        self.standard[.cacheWrite] = nil
        self.repairs.append(
            "\(write) stood as cache write, below the input price \(input): taken as cached input")
    }

    private mutating func addLongWrites() {
        guard let listed = self.cells["cache_write_12h_usd_per_1m"] else { return }
        self.standard.addLongWrites()
        let long = self.cells["cache_write_long"]
        guard let amount = self.standard.amount(.cacheWriteLong),
            (try? ExactDecimal(parsing: listed)) != amount
        else { return }
        let copied = listed == long ? ", but that is its long cache write" : ""
        self.repairs.append(
            "12-hour cache writes are listed at \(listed)\(copied): taken as twice the input, \(amount)")
    }

    /// A price per second beside one per token is an estimate of it: both would charge twice.
    private mutating func chooseTokensOrSeconds() {
        if let seconds = self.standard[.second], self.standard[.input] != nil {
            self.standard[.second] = nil
            self.repairs.append("names \(seconds) per second beside tokens: taken as an estimate of them")
        }
        if self.standard[.second] != nil, let other = self.cells["output_usd_per_second"] {
            self.repairs.append("names \(other) per second of output too: the audio is charged once")
        }
    }

    /// All output of a speech model is audio, and its report need not say so: both get the dearer price.
    private mutating func takeSpeechAsAudio() {
        guard let text = self.standard[.output], let audio = self.standard[.audioOutput], text != audio else {
            return
        }
        self.standard[.output] = audio
        self.repairs.append(
            "output is listed at \(text) and audio output at \(audio): all of it is taken as audio")
    }

    // MARK: Reading

    var model: String { self.cells["model", default: ""] }
    var mode: String { self.cells["mode", default: ""] }

    /// Seconds or characters are priced, and no token is.
    var isPricedByUnits: Bool {
        self.standard[.input] == nil && (self.standard[.second] ?? self.standard[.characters]) != nil
    }

    /// The name without `ft:` and without a date at its end: `gpt-4o` for `ft:gpt-4o-2024-08-06`.
    var family: String {
        let base = self.model.hasPrefix("ft:") ? String(self.model.dropFirst(3)) : self.model
        return Self.undated(base)
    }

    /// Without `-2024-08-06` or `-0613` at the end.
    static func undated(_ name: String) -> String {
        func isNumber(_ part: Substring, _ digits: Int) -> Bool {
            part.utf8.count == digits && part.utf8.allSatisfy { (0x30...0x39).contains($0) }
        }
        let parts = name.split(separator: "-", omittingEmptySubsequences: false)
        if parts.count > 3, isNumber(parts[parts.count - 3], 4), isNumber(parts[parts.count - 2], 2),
            isNumber(parts[parts.count - 1], 2)
        {
            return parts.dropLast(3).joined(separator: "-")
        }
        if parts.count > 1, let last = parts.last, isNumber(last, 4) {
            return parts.dropLast().joined(separator: "-")
        }
        return name
    }

    /// nil: the list has no such tier.
    func short(_ tier: ServiceTier) -> Rates? {
        guard tier != .default else { return self.standard }
        let name = tier.rawValue
        guard let input = self.cells["\(name)_input"], let output = self.cells["\(name)_output"],
            !self.hasMediaAtStandardOnly
        else { return nil }
        var rates = Rates(
            input: input, cachedInput: self.cells["\(name)_cached"],
            cacheWrite: self.cells["\(name)_cache_write"], output: output)
        if rates[.cacheWrite] == nil {
            rates[.cacheWrite] = self.standard.inProportion(.cacheWrite, toInput: input)
        }
        return self.withLongWrites(rates)
    }

    /// The list has no column for media at the other tiers: there they would be sold at the price of text.
    var hasMediaAtStandardOnly: Bool { RateCard.Medium.allCases.contains { self.standard.names($0) } }

    private func withLongWrites(_ rates: Rates) -> Rates {
        guard self.standard[.cacheWriteLong] != nil else { return rates }
        var rates = rates
        rates.addLongWrites()
        return rates
    }

    /// The long rates of the standard tier; nil: the model has one price for every length.
    var long: Rates? {
        guard self.cells["long_ctx_threshold"] != nil, let input = self.cells["input_long"],
            let output = self.cells["output_long"]
        else { return nil }
        return self.withLongWrites(
            Rates(
                input: input, cachedInput: self.cells["cached_long"],
                cacheWrite: self.cells["cache_write_long"], output: output))
    }

    /// The long rates of another tier, and where they come from.
    ///
    /// The list has columns for input and output only. Cached and written tokens follow in the proportion of
    /// the input, as they do for short input: left unnamed they would cost as plain input, which is below
    /// what a cache write costs. A tier that is dearer than the standard one and has no long price takes the
    /// dearer of its own short and the standard long rate, part by part, so that a longer request never costs
    /// less.
    func long(_ tier: ServiceTier) -> (rates: Rates, origin: LongOrigin)? {
        guard let long, let short = self.short(tier) else { return nil }
        let name = tier.rawValue
        if let input = self.cells["\(name)_input_long"], let output = self.cells["\(name)_output_long"] {
            let rates = Rates(
                input: input, cachedInput: long.inProportion(.cachedInput, toInput: input),
                cacheWrite: long.inProportion(.cacheWrite, toInput: input), output: output)
            return (self.withLongWrites(rates), .inProportion)
        }
        guard let own = short.amount(.input), let base = self.standard.amount(.input), base.isLess(than: own)
        else {
            return nil
        }
        func dearer(_ part: RateCard.Part) -> String? {
            guard let left = short.amount(part), let right = long.amount(part) else {
                return short[part] ?? long[part]
            }
            return left.isLess(than: right) ? long[part] : short[part]
        }
        var rates = Rates()
        for part in RateCard.Part.tokens { rates[part] = dearer(part) }
        return (rates, .dearerOfShortAndStandard)
    }
}

extension PriceListRow.Rates {
    /// What a part costs at another input price, if it keeps its proportion; nil where that is not exact.
    func inProportion(_ part: RateCard.Part, toInput input: String) -> String? {
        guard let full = self.amount(part), let own = try? ExactDecimal(parsing: input),
            let base = self.amount(.input), let product = full.multiplied(by: own)
        else { return nil }
        return product.divided(by: base, digitsMax: 6)?.description
    }
}

extension ExactDecimal {
    /// Exact quotient with at most `digitsMax` digits after the point; nil when there is none.
    func divided(by divisor: ExactDecimal, digitsMax: Int) -> ExactDecimal? {
        // self / divisor = (c · 10^(ds + digits)) / (dc · 10^s) / 10^digits
        let shifted = ExactDecimal(coefficient: self.coefficient, scale: 0)
        let bottom = ExactDecimal(coefficient: divisor.coefficient, scale: 0)
        guard let top = shifted.scaledToInteger(powerOfTen: divisor.scale + digitsMax),
            let under = bottom.scaledToInteger(powerOfTen: self.scale), under != 0, top % under == 0
        else { return nil }
        return ExactDecimal(coefficient: top / under, scale: digitsMax)
    }
}
