import Metering
import MoneyPath
import Testing

@testable import LedgerSim

/// What happens to a node as a whole. What its scripts do is compared with Redis in RedisHoldsTests/Store.
@Suite struct StoreNodeTests {
    private static let boot = HoldID(high: 1, low: 2)
    private static let account: AccountID = 7

    private static func hold(_ number: UInt64) -> HoldID {
        HoldID(millisecondsSinceEpoch: 1, randomA: 0, randomB: number)
    }

    private static func execute(
        _ command: HoldCommand, on node: inout StoreNode, epoch: String, now: Int64 = 1_000_000
    ) -> HoldReply {
        node.execute(
            command, fence: HoldFence(loop: "A.0", generation: 1, raise: false), epoch: epoch, owner: boot,
            lease: .seconds(30), nowMilliseconds: now)
    }

    private static func place(_ number: UInt64, _ amount: Int64) -> HoldCommand {
        .place(
            PlaceRequest(
                account: account, hold: hold(number), want: Millicredits(amount), least: Millicredits(amount),
                inputEstimate: .zero, priceID: "c@1/m", endpoint: .chat))
    }

    /// With one account of 1000 under the node's epoch, which is returned.
    private static func warm(_ node: inout StoreNode) -> String {
        let epoch = node.nodeIdentity().epoch(ledgerGeneration: 1)
        let snapshot = AccountSnapshot(
            balance: LedgerBalance(account: account, generation: 1, version: 1, balance: Millicredits(1000)),
            gate: AccountGate(account: account, version: 1, floor: .zero, blocked: false),
            spentLastHour: .zero, spentToday: .zero, settled: [])
        _ = execute(.load(account, nonce: "n"), on: &node, epoch: epoch)
        let answer = execute(
            .initialize(account, incarnation: "n", epoch: epoch, snapshot), on: &node, epoch: epoch)
        #expect(answer.code == 0)
        return epoch
    }

    /// FLUSHALL changes neither run id nor replication id: the epoch key alone tells of it.
    @Test func aFlushChangesTheEpochKeyAlone() {
        var node = StoreNode(name: "r")
        let epoch = Self.warm(&node)
        node.join(epoch, Self.boot)
        let before = node.nodeIdentity()
        node.flush()
        let after = node.nodeIdentity()
        #expect(after.runID == before.runID && after.replicationID == before.replicationID)
        #expect(after.epochKey != before.epochKey)
        #expect(node.accountIDs.isEmpty && node.members(epoch).isEmpty)
    }

    /// A5: the old balance comes back with the old epoch key, and must not count.
    @Test func aRestoredSnapshotIsUnderAnotherEpoch() {
        var node = StoreNode(name: "r")
        let epoch = Self.warm(&node)
        node.join(epoch, Self.boot)
        let snapshot = node
        #expect(
            Self.execute(Self.place(1, 900), on: &node, epoch: epoch) == .numbers(HoldNumbers(0, 900, 1000)))
        #expect(snapshot.accounts[Self.account]?.holds.isEmpty == true)
        node.restart(from: snapshot)
        let after = node.nodeIdentity()
        #expect(after.epochKey == snapshot.epochKey && after.runID != snapshot.runID)
        #expect(node.members(epoch) == [Self.boot])
        let present = after.epoch(ledgerGeneration: 1)
        #expect(Self.execute(Self.place(2, 900), on: &node, epoch: present).code == -1)
        // A sender that has not noticed is let in: what is held again is bounded, and visible.
        #expect(Self.execute(Self.place(2, 900), on: &node, epoch: epoch).code == 0)
    }

    /// Whatever is restored, no identity comes a second time.
    @Test func identitiesAreNeverRepeated() {
        var node = StoreNode(name: "r")
        let snapshot = node
        var seen: Set<NodeIdentity> = [node.nodeIdentity()]
        for round in 0..<20 {
            if round % 3 == 0 { node.flush() } else { node.restart(from: round % 3 == 1 ? snapshot : nil) }
            #expect(seen.insert(node.nodeIdentity()).inserted)
        }
    }

    /// SCAN does not name what only was looked at.
    @Test func aHashWithoutAFieldDoesNotExist() {
        var node = StoreNode(name: "r")
        #expect(node.list(9).isEmpty)
        #expect(Self.execute(.load(9, nonce: ""), on: &node, epoch: "E") == .listing(incarnation: "", []))
        #expect(Self.execute(Self.place(1, 1), on: &node, epoch: "E").code == -1)
        #expect(node.accountIDs.isEmpty)
    }

    /// A sweep reads holds with everything that a reaper settles from.
    @Test func aListingHasTheEntriesAsValues() {
        var node = StoreNode(name: "r")
        let epoch = Self.warm(&node)
        _ = Self.execute(Self.place(2, 30), on: &node, epoch: epoch)
        _ = Self.execute(Self.place(1, 20), on: &node, epoch: epoch)
        let touch = HoldCommand.touch(
            Self.hold(2), of: Self.account, held: Millicredits(30), progress: Millicredits(4))
        #expect(Self.execute(touch, on: &node, epoch: epoch).code == 1)
        let settlement = Settlement.void(
            of: Self.hold(1), account: Self.account, owner: Self.boot, endpoint: .chat, priceID: "c@1/m")
        #expect(Self.execute(.capture(settlement, force: false), on: &node, epoch: epoch).code == 0)
        let entries = node.list(Self.account)
        #expect(entries.map(\.hold) == [Self.hold(1), Self.hold(2)])
        #expect(entries[0] == .captured(settlement))
        guard case .held(_, let hold) = entries[1] else {
            Issue.record("\(entries[1])")
            return
        }
        #expect(hold.amount == Millicredits(30) && hold.progress == Millicredits(4))
        #expect(hold.owner == HoldOwner(Self.boot) && hold.deadline == 1_030_000 && hold.placed == 1_000_000)
    }

    @Test func aNodeBeginsWithEveryGuard() {
        var node = StoreNode(name: "r")
        #expect(node.guards == Set(StoreGuard.allCases))
        node.guards.remove(.fence)
        #expect(!node.guards.contains(.fence) && node.guards.count == StoreGuard.allCases.count - 1)
    }
}
