/// A time on one process' monotonic clock. Moments of different processes do not compare; machines get them from
/// their shell and never ask a clock.
public struct Moment: Sendable, Hashable, Comparable {
    public var nanoseconds: Int64

    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    public static let distantPast = Moment(nanoseconds: .min / 2)
    public static let distantFuture = Moment(nanoseconds: .max / 2)

    @inlinable public static func < (left: Moment, right: Moment) -> Bool {
        left.nanoseconds < right.nanoseconds
    }
    @inlinable public static func + (moment: Moment, span: Span) -> Moment {
        Moment(nanoseconds: moment.nanoseconds &+ span.nanoseconds)
    }
    @inlinable public static func - (later: Moment, earlier: Moment) -> Span {
        Span(nanoseconds: later.nanoseconds &- earlier.nanoseconds)
    }
    @inlinable public static func - (moment: Moment, span: Span) -> Moment {
        Moment(nanoseconds: moment.nanoseconds &- span.nanoseconds)
    }
}

/// The time between two moments.
public struct Span: Sendable, Hashable, Comparable {
    public var nanoseconds: Int64

    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    public static let zero = Span(nanoseconds: 0)
    @inlinable public static func microseconds(_ count: some BinaryInteger) -> Span {
        Span(nanoseconds: Int64(count) * 1_000)
    }
    @inlinable public static func milliseconds(_ count: some BinaryInteger) -> Span {
        Span(nanoseconds: Int64(count) * 1_000_000)
    }
    @inlinable public static func seconds(_ count: some BinaryInteger) -> Span {
        Span(nanoseconds: Int64(count) * 1_000_000_000)
    }

    public var milliseconds: Int64 { self.nanoseconds / 1_000_000 }
    public var seconds: Int64 { self.nanoseconds / 1_000_000_000 }

    @inlinable public static func < (left: Span, right: Span) -> Bool { left.nanoseconds < right.nanoseconds }
    @inlinable public static func + (left: Span, right: Span) -> Span {
        Span(nanoseconds: left.nanoseconds &+ right.nanoseconds)
    }
    @inlinable public static func * (span: Span, factor: Int64) -> Span {
        Span(nanoseconds: span.nanoseconds &* factor)
    }
}
