import Metering
import MoneyPath

/// What the settler needs of the journal (MONEY_PATH J1–J8). Only `backlog` blocks: an append is a copy into memory that the
/// kernel has even when this process is killed.
public protocol OutcomeJournal: Sendable {
    /// Sets room aside for everything one exchange will write (rule J3). false: stop admitting.
    func reserve() -> Bool
    func giveBackReservation()
    /// The request goes upstream now; `worst` is what is settled if this process dies before it says more. false: a
    /// broken disk took the room that was set aside; it must not go.
    func open(_ worst: Settlement) -> Bool
    func progressed(_ progress: ExchangeProgress)
    /// Returns the place of the outcome; nil when nothing could be written.
    func end(_ settlement: Settlement, reserved: Bool) -> UInt64?
    /// Everything up to here was posted and told (rule J5).
    func acknowledge(through sequence: UInt64)
    /// The first unacknowledged outcomes that were recorded with this number or a later one, in order. Waits for the
    /// disk: under no lock.
    func backlog(from sequence: UInt64, limit: Int) -> JournalPage
    /// Calls back when the outcome is as safe as the configuration asks for: at once, or when it is on the disk.
    func whenDurable(_ sequence: UInt64, _ completion: @escaping @Sendable () -> Void)
    /// Every outcome has to be on the disk before its reply ends.
    var isStrict: Bool { get }
    /// There is room for what comes, on a disk that works. If not, `end` may have to say nil.
    var isReady: Bool { get }
}
