import Metering
import MoneyPath

/// One Redis process: its data, and whether it answers.
final class SimNode {
    var state: StoreNode
    var isUp = true
    /// Stalled until then: commands wait in its sockets.
    var silentUntil: Int64 = 0
    fileprivate var links: [SimLink] = []

    init(_ state: StoreNode) { self.state = state }
}

/// The hold store with its snapshots, replicas and accidents.
final class SimStore {
    unowned var world: World! = nil
    private(set) var current: SimNode
    private var snapshots: [StoreNode] = []

    init(guards: Set<StoreGuard>) {
        var node = StoreNode(name: "node")
        node.guards = guards
        self.current = SimNode(node)
    }

    var node: StoreNode { self.current.state }

    var isEmpty: Bool { self.node.isEmpty }

    // MARK: Links

    func attach(_ link: SimLink) -> SimNode? {
        guard self.current.isUp, self.current.silentUntil <= self.world.time else { return nil }
        self.current.links.append(link)
        return self.current
    }

    func detach(_ link: SimLink, from node: SimNode) { node.links.removeAll { $0 === link } }

    /// A connection somewhere breaks.
    func cutOneLink() {
        guard !self.current.links.isEmpty else { return }
        self.world.count(.connectionLost)
        let link = self.current.links[self.world.random.below(self.current.links.count)]
        // Most interesting is a connection that dies with commands under way.
        if self.world.random.oneIn(4) { link.die(serverGone: false) } else { link.isDoomed = true }
    }

    // MARK: Accidents

    func keepSnapshots() {
        self.world.after(.milliseconds(self.world.random.between(300, 4_000))) {
            guard self.world.isFaulty else { return }
            self.snapshots.append(self.node)
            if self.snapshots.count > 4 { self.snapshots.removeFirst() }
            self.keepSnapshots()
        }
    }

    func flush() {
        self.world.count(.storeFlushed)
        self.noteLoss()
        self.current.state.flush()
    }

    /// Connections stay up, and nothing is lost.
    func attachReplica() {
        self.world.count(.storeReplicaAttached)
        self.current.state.changeReplicationID()
    }

    /// Everything is still there (an append-only file), but it is another process.
    func restart() {
        self.world.count(.storeRestarted)
        self.replace(with: self.node, gone: .milliseconds(self.world.random.between(20, 800)))
    }

    func rollBack() {
        guard let old = self.snapshots.randomElement(using: &self.world.random) else { return }
        self.world.count(.storeRolledBack)
        self.noteLoss()
        self.replace(with: old, gone: .milliseconds(self.world.random.between(20, 800)))
    }

    private static let splitMax = Span.seconds(4)

    /// A replica that is behind takes over, while whoever is connected to the old primary goes on there for a while.
    func failOver() {
        guard let replica = self.snapshots.last else { return }
        self.world.count(.storeFailedOver)
        self.noteLoss()
        self.world.truth.noteSplit(self.world, until: self.world.time + Self.splitMax.nanoseconds)
        let old = self.current
        self.current = SimNode(self.fresh(replica))
        self.world.after(.milliseconds(self.world.random.between(0, Self.splitMax.milliseconds))) {
            old.isUp = false
            for link in old.links { link.die(serverGone: true) }
        }
    }

    func stall() {
        self.world.count(.storeSilent)
        let node = self.current
        let pause = Span.milliseconds(self.world.random.between(50, 4_500))
        node.silentUntil = self.world.time + pause.nanoseconds
        guard pause > .seconds(3) else { return }
        // Clients give a connection up that says nothing for three seconds.
        self.world.after(.seconds(3)) {
            for link in node.links where link.isWaiting { link.die(serverGone: false) }
        }
    }

    func evictSomething() {
        let account = AccountID(1 + self.world.random.below(SimSettings.accounts))
        let now = self.world.nowMilliseconds
        if self.current.state.evict(account, idleSecondsMin: 0, nowMilliseconds: now) {
            self.world.count(.eviction)
        }
    }

    func heal() { self.current.silentUntil = 0 }

    private func noteLoss() { self.world.truth.noteStoreLoss(self.world) }

    private func replace(with state: StoreNode, gone: Span) {
        let old = self.current
        old.isUp = false
        for link in old.links { link.die(serverGone: true) }
        let next = SimNode(self.fresh(state))
        next.isUp = false
        self.current = next
        self.world.after(gone) { next.isUp = true }
    }

    private func fresh(_ state: StoreNode) -> StoreNode {
        state.restarted(after: self.node)
    }
}

/// One connection of one instance to the store: commands and replies each in order, delayed, and lost when it breaks;
/// what was sent and not read may still be executed long after.
final class SimLink {
    private final class Message {
        /// Executes, and returns what is to be done with the reply.
        let execute: (inout StoreNode, Int64) -> () -> Void
        var isExecuted = false
        init(_ execute: @escaping (inout StoreNode, Int64) -> () -> Void) { self.execute = execute }
    }

    private unowned let world: World
    private let process: SimProcess
    /// When the connection that is up was made.
    private(set) var upSince: Int64 = 0
    private let ready: (NodeIdentity) -> Void
    private let lost: () -> Void
    private var node: SimNode?
    private var isStopped = false
    /// Tells callbacks of an old connection from those of this one.
    private var attempt = 0
    private var sent: [Message] = []
    /// Dies with the next command that is sent.
    var isDoomed = false
    private var lastArrival: Int64 = 0
    private var lastReply: Int64 = 0

    init(
        _ world: World, _ process: SimProcess, ready: @escaping (NodeIdentity) -> Void,
        lost: @escaping () -> Void
    ) {
        self.world = world
        self.process = process
        self.ready = ready
        self.lost = lost
    }

    var isUp: Bool { self.node != nil }

    /// For so long its commands came through, to the node that counts.
    func isSteady(for span: Span) -> Bool {
        guard let node = self.node, node === self.world.store.current else { return false }
        let since = self.world.time - span.nanoseconds
        return self.upSince < since && node.silentUntil < since
    }
    var isWaiting: Bool { !self.sent.isEmpty }

    func connect() {
        guard !self.isStopped, self.node == nil else { return }
        guard let node = self.world.store.attach(self) else {
            return self.process.after(.milliseconds(self.world.random.between(20, 200))) { self.connect() }
        }
        self.node = node
        self.upSince = self.world.time
        self.attempt += 1
        self.lastArrival = self.world.time
        self.lastReply = self.world.time
        // The greeting makes an epoch key where there is none, and reads everything that makes an epoch.
        self.ask { state, _ in
            state.nodeIdentity()
        } then: {
            self.ready($0)
        }
    }

    func ask<Reply>(
        _ execute: @escaping (inout StoreNode, Int64) -> Reply, then: @escaping (Reply) -> Void
    ) {
        guard self.node != nil else { return }
        let attempt = self.attempt
        let message = Message { state, now in
            let reply = execute(&state, now)
            return { then(reply) }
        }
        self.sent.append(message)
        self.lastArrival = max(self.lastArrival, self.world.time + self.latency())
        self.deliver(message, attempt, at: self.lastArrival)
        guard self.isDoomed, self.world.isFaulty else { return }
        self.isDoomed = false
        let span = 2 * (self.lastArrival - self.world.time)
        self.world.after(Span(nanoseconds: self.world.random.between(0, span))) {
            guard attempt == self.attempt else { return }
            // At worst the process is stopped in the same moment, and learns of it after others have acted.
            if self.world.random.oneIn(12) { self.process.instance.pause() }
            self.die(serverGone: false)
        }
    }

    private func latency() -> Int64 {
        guard self.world.isFaulty, self.world.random.oneIn(12) else {
            return self.world.random.between(50_000, 600_000)
        }
        self.world.count(.commandDelayed)
        return self.world.random.between(1_000_000, 150_000_000)
    }

    private func deliver(_ message: Message, _ attempt: Int, at time: Int64) {
        self.world.after(Span(nanoseconds: time - self.world.time)) {
            guard attempt == self.attempt, let node = self.node, node.isUp, !message.isExecuted else {
                return
            }
            guard node.silentUntil <= self.world.time else {
                return self.deliver(message, attempt, at: node.silentUntil)
            }
            // A connection keeps its order, also through a silence that ended early or was followed by another.
            let due = self.sent.prefix { $0 !== message } + [message]
            for earlier in due where !earlier.isExecuted { self.run(earlier, on: node, attempt) }
        }
    }

    private func run(_ message: Message, on node: SimNode, _ attempt: Int) {
        message.isExecuted = true
        let reply = message.execute(&node.state, self.world.nowMilliseconds)
        self.lastReply = max(self.lastReply, self.world.time + self.latency())
        self.world.after(Span(nanoseconds: self.lastReply - self.world.time)) {
            guard attempt == self.attempt else { return }
            if !self.sent.isEmpty { self.sent.removeFirst() }
            self.process.run(reply)
        }
    }

    /// - Parameter serverGone: nothing that was sent will be executed any more.
    func die(serverGone: Bool) {
        guard let node = self.node else { return }
        self.world.store.detach(self, from: node)
        self.node = nil
        self.attempt += 1
        if self.sent.contains(where: \.isExecuted) { self.world.count(.replyLost) }
        if !serverGone { self.leaveZombies(on: node) }
        self.sent = []
        guard !self.isStopped else { return }
        let attempt = self.attempt
        self.process.after(.milliseconds(self.world.random.between(0, 20))) {
            guard attempt == self.attempt else { return }
            self.lost()
            self.process.after(.milliseconds(self.world.random.between(10, 150))) { self.connect() }
        }
    }

    /// What stands in the server's socket is read one day, in order: some of it now, some much later, some never.
    private func leaveZombies(on node: SimNode) {
        let waiting = self.sent.filter { !$0.isExecuted }
        guard !waiting.isEmpty else { return }
        var delay: Int64 = 0
        for message in waiting.prefix(self.world.random.below(waiting.count + 1)) {
            delay += [0, 1, 5, 40, 150, 400, 3_000][self.world.random.below(7)] * 1_000_000
            self.world.after(Span(nanoseconds: delay)) {
                guard node.isUp, !message.isExecuted else { return }
                self.world.count(.zombieCommand)
                message.isExecuted = true
                _ = message.execute(&node.state, self.world.nowMilliseconds)
            }
        }
    }

    /// The process is gone.
    func stop() {
        self.isStopped = true
        self.die(serverGone: false)
    }
}
