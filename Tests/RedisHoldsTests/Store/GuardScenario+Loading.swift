import LedgerSim
import Metering

@testable import RedisHolds

extension StoreGuard {
    func loadScenario(_ a: StepMaker) -> GuardScenario {
        let gate = "if not gs or restored or tonumber(ARGV[6]) >= tonumber(gs) then"
        switch self {
        case .listCreatesNothing:
            return GuardScenario(.load, "if ARGV[1] ~= '' then", "if true then", [a.load("")])
        case .loadKeepsIncarnation:
            return GuardScenario(.load, "'HSETNX'", "'HSET'", [a.load("n1"), a.load("n2"), a.initialize()])
        case .initChecksIncarnation:
            // The hash was forgotten, loaded by somebody else, spent; this INIT stood in a queue all the while.
            return GuardScenario(
                .initialize, "if redis.call('HGET', k, 'i') ~= ARGV[1] then return -1 end",
                a.warm() + [a.evict(), a.load("n2"), a.initialize(), a.place(1, 1000)])
        case .initComparesGate:
            return GuardScenario(
                .initialize, gate, "if true then",
                a.warm() + [a.gate(5, blocked: true), a.initialize { $0.gate = 3 }])
        case .initRestoresGate:
            return GuardScenario(
                .initialize, gate, "if not gs or tonumber(ARGV[6]) >= tonumber(gs) then",
                a.warm() + [
                    a.gate(5, blocked: true),
                    a.initialize {
                        $0.gate = 3
                        $0.generation = 2
                    },
                ])
        default:
            return self.settledScenario(a)
        }
    }

    private func settledScenario(_ a: StepMaker) -> GuardScenario {
        let captured = a.warm() + [a.place(1, 400), a.capture(1, 300)]
        let dropping =
            "if u and amount_of(u) == ARGV[j + 1] and authority_of(u) <= tonumber(ARGV[j + 2]) then"
        switch self {
        case .initDropsHolds:
            return GuardScenario(
                .initialize, "redis.call('HDEL', k, 'h:' .. ARGV[j])",
                a.warm() + [a.place(1, 400), a.initialize { $0.settled = [(1, 300)] }])
        case .initDropsCaptures:
            return GuardScenario(
                .initialize, dropping, "if false then",
                captured + [a.initialize { $0.settled = [(1, 300)] }])
        case .initComparesAmount:
            return GuardScenario(
                .initialize, "and amount_of(u) == ARGV[j + 1] ", "",
                captured + [a.initialize { $0.settled = [(1, 10)] }])
        case .initComparesAuthority:
            return GuardScenario(
                .initialize, " and authority_of(u) <= tonumber(ARGV[j + 2])",
                captured + [a.initialize { ($0.settled, $0.authority) = ([(1, 300)], .recovery) }])
        case .initRecomputes:
            return GuardScenario(
                .initialize, ", 'H', text(H), 'U', text(U)",
                a.warm() + [a.place(1, 400), a.initialize { $0.settled = [(1, 300)] }])
        case .initAddsCaptured:
            return GuardScenario(
                .initialize, "local hour, day = tonumber(ARGV[9]) + unposted, tonumber(ARGV[10]) + unposted",
                "local hour, day = tonumber(ARGV[9]), tonumber(ARGV[10])",
                captured + [a.initialize { ($0.hour, $0.day) = (7, 9) }])
        default:
            return self.versionScenario(a)
        }
    }

    private func versionScenario(_ a: StepMaker) -> GuardScenario {
        let posted = a.warm() + [a.place(1, 400), a.capture(1, 300), a.posted(2, 700, (1, 300))]
        switch self {
        case .initComparesVersion:
            // POSTED was faster than the snapshot.
            return GuardScenario(
                .initialize, "if newest or same then", "if true then", posted + [a.initialize()])
        case .initTakesSameVersion:
            return GuardScenario(
                .initialize, " or same", posted + [a.initialize { ($0.version, $0.balance) = (2, 650) }])
        case .initKeepsLargerSpend:
            return GuardScenario(
                .initialize, "if newest then", "if true then",
                // What is waived is posted without moving the version.
                a.warm() + [
                    a.place(1, 400, isWaived: true), a.load("n1"), a.posted(1, 1000, (1, 0), counted: 300),
                    a.initialize(),
                ])
        default:
            return GuardScenario(
                .initialize, "for _, name in ipairs(minutes) do redis.call('HDEL', k, name) end",
                posted + [a.initialize { ($0.version, $0.hour, $0.day) = (3, 300, 300) }.at(120_000)])
        }
    }
}
