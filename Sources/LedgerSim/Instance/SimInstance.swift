import Metering
import MoneyPath

/// One host: its disk, and the process that runs on it now.
final class SimInstance {
    unowned let world: World
    let number: Int
    var disk = SimDisk()
    private(set) var process: SimProcess! = nil

    init(number: Int, world: World) {
        self.number = number
        self.world = world
    }

    func start() {
        self.process = SimProcess(self)
        self.world.processes.append(self.process)
        self.process.start()
    }

    var isAtRest: Bool { self.process.isAlive && !self.process.isPaused && self.process.isAtRest }

    // MARK: Accidents

    func kill(losingDisk: Bool, losingPower: Bool) {
        guard self.process.isAlive else { return }
        self.world.count(losingDisk ? .killedWithItsDisk : losingPower ? .powerLost : .killed, of: self)
        self.process.kill()
        if losingPower { self.losePower() }
        if losingDisk {
            self.world.truth.lostDisk(Set(self.disk.directories.keys))
            self.disk = SimDisk()
        }
        let pause = Span.milliseconds(self.world.random.between(20, 20_000))
        self.world.after(pause) { self.start() }
    }

    private func losePower() {
        for (boot, segments) in self.disk.directories.sorted(by: { $0.key < $1.key }) {
            for segment in segments where segment.losePower(&self.world.random) {
                self.world.count(.tornTail)
                self.world.truth.lostPower(boot)
            }
        }
    }

    func pause() {
        guard self.process.isAlive, !self.process.isPaused else { return }
        let process: SimProcess = self.process
        let isLong = self.world.random.oneIn(3)
        let pause = Span.milliseconds(
            isLong ? self.world.random.between(7_000, 30_000) : self.world.random.between(50, 5_000))
        self.world.count(isLong ? .pausedBeyondLease : .paused, of: self)
        process.pause()
        self.world.after(pause) { process.resume() }
    }

    /// Its own way to the ledger breaks, for longer than the others' grace.
    func cutLedgerOff() {
        guard self.process.isAlive, self.process.ledgerCutUntil <= self.world.time else { return }
        self.world.count(.ledgerCutOff, of: self)
        let span = Span.milliseconds(self.world.random.between(8_000, 25_000))
        self.process.ledgerCutUntil = self.world.time + span.nanoseconds
    }

    func fillDisk() {
        guard !self.disk.isFull else { return }
        self.world.count(.diskFull)
        self.disk.isFull = true
        self.world.after(.milliseconds(self.world.random.between(500, 8_000))) { self.disk.isFull = false }
    }

    func heal() {
        self.disk.isFull = false
        self.process.ledgerCutUntil = 0
        self.process.resume()
        if !self.process.isAlive { self.world.after(.zero) { if !self.process.isAlive { self.start() } } }
    }
}
