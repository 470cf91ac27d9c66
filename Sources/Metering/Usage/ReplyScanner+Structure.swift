/// Containers, and which value may stand where.
extension ReplyScanner {
    /// - Parameter byte: no blank.
    @inline(__always)
    mutating func takeStructure(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""):
            self.beginString()
        case UInt8(ascii: ":"):
            self.state = self.state == .colon ? .value : .broken
        case UInt8(ascii: ","):
            guard self.state == .afterValue else { return self.breakOff() }
            self.slot = .none
            self.state = self.nesting.isInObject ? .key : .value
        case UInt8(ascii: "{"):
            self.open(isObject: true)
        case UInt8(ascii: "["):
            self.open(isObject: false)
        case UInt8(ascii: "}"):
            guard self.nesting.isInObject, self.state == .afterValue || self.state == .keyOrEnd else {
                return self.breakOff()
            }
            self.close()
        case UInt8(ascii: "]"):
            guard self.nesting.depth > 0, !self.nesting.isInObject,
                self.state == .afterValue || self.state == .valueOrEnd
            else { return self.breakOff() }
            self.close()
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            guard self.beginValue(.number) else { return }
            self.numberIsBad = byte == UInt8(ascii: "-")
            self.fraction = (0, false)
            self.number = self.numberIsBad ? 0 : Int64(byte &- 0x30)
            self.state = .number
        case UInt8(ascii: "n"): self.beginLiteral("null", .null)
        case UInt8(ascii: "t"): self.beginLiteral("true", .bool)
        case UInt8(ascii: "f"): self.beginLiteral("false", .bool)
        default:
            self.breakOff()
        }
    }

    mutating func breakOff() { self.state = .broken }

    enum Kind { case string, number, bool, null, object, array }

    /// Looks at the kind of a value before its content; false when no value may stand here.
    mutating func beginValue(_ kind: Kind) -> Bool {
        guard self.state == .value || self.state == .valueOrEnd else {
            self.breakOff()
            return false
        }
        if self.node == .choices { self.choices = (self.choices ?? 0) &+ 1 }
        switch self.slot {
        case .none:
            break
        case .usage, .inputDetails, .outputDetails, .cachedDetails, .writeDetails:
            // null is absent.
            if kind != .object && kind != .null { self.isUsageMalformed = true }
        case .input, .outputCount, .total, .cached, .cacheWrite, .cacheWrite30Minutes, .cacheWrite12Hours,
            .inputAudio, .inputImage, .inputText, .cachedAudio, .cachedImage, .reasoning, .outputAudio,
            .outputImage, .outputText, .seconds:
            if kind != .number && kind != .null { self.isUsageMalformed = true }
        case .error:
            if kind != .null { self.hasError = true }
        case .finishReason:
            if kind == .string { self.finishReasons &+= 1 }
        case .model, .tier, .choices, .delta, .visibleText, .visibleStructure, .type, .status, .identifier,
            .response, .items, .item, .itemType, .action, .actionType, .toolUsage, .searchUsage, .searches,
            .sequence:
            break
        }
        return true
    }

    mutating func open(isObject: Bool) {
        guard self.beginValue(isObject ? .object : .array) else { return }
        let node = ReplyNode(
            of: self.slot, in: self.node, isObject: isObject, isRoot: self.nesting.depth == 0,
            shape: self.shape)
        let depth = self.nesting.depth
        guard self.nesting.open(isObject: isObject) else { return self.breakOff() }
        if depth < 8 {
            let shift = UInt64(depth) << 3
            self.nodes = self.nodes & ~(0xff << shift) | UInt64(node.rawValue) << shift
        }
        self.node = depth < 8 ? node : .other
        self.slot = .none
        self.state = isObject ? .keyOrEnd : .valueOrEnd
        switch node {
        case .usage:
            self.usage = ReportedUsage()
            self.usageIsWhole = false
            self.hasUsageObject = true
            self.isUsageMalformed = false
        case .choices: self.choices = 0
        case .choice: self.choiceIsVisible = false
        case .item: self.toolCalls.beginItem()
        default: break
        }
    }

    mutating func close() {
        switch self.node {
        case .usage:
            self.usageIsWhole = !self.isUsageMalformed
        case .choice:
            if self.choiceIsVisible { self.visibleChoices &+= 1 }
            self.choiceIsVisible = false
        case .item:
            self.toolCalls.endItem()
        default: break
        }
        self.nesting.close()
        let depth = self.nesting.depth
        self.slot = .none
        if depth == 0 {
            self.node = .other
            self.state = .complete
        } else {
            let raw = depth <= 8 ? UInt8(truncatingIfNeeded: self.nodes >> (UInt64(depth &- 1) << 3)) : 0
            self.node = ReplyNode(rawValue: raw) ?? .other
            self.state = .afterValue
        }
    }

    mutating func endScalar() { self.state = self.nesting.depth == 0 ? .complete : .afterValue }
}
