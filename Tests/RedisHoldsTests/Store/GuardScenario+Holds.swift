import LedgerSim
import Metering

@testable import RedisHolds

extension StoreGuard {
    func placeScenario(_ a: StepMaker) -> GuardScenario {
        switch self {
        case .placeKnownHold:
            GuardScenario(
                .place, "if v[7] then return {1, tonumber(amount_of(v[7])), p - U} end",
                a.warm() + [a.place(1, 400), a.place(1, 100)])
        case .placeKnownCapture:
            GuardScenario(
                .place, "if v[8] then return {2} end",
                a.warm() + [a.place(1, 400), a.capture(1, 300), a.place(1, 400)])
        case .epochStamp:
            // A snapshot of an hour ago: the balance is there, and worth nothing.
            GuardScenario(.place, " or v[6] ~= epoch", a.warm() + [a.place(1, 400).under("E2")])
        case .placeNeedsOpenGate:
            GuardScenario(
                .place, "if v[5] == '1' then", "if false then",
                a.warm() + [a.gate(2, blocked: true), a.place(1, 400)])
        case .placeCaps:
            GuardScenario(
                .place, "if room then", "if false then",
                a.warm() + [a.place(1, 50, caps: SpendCaps(session: Millicredits(40)))])
        case .placeTakesHalf:
            GuardScenario(
                .place, "math.floor(available / 2)", "available",
                a.warm { $0.balance = 101 } + [a.place(1, 400, least: 10), a.place(2, 51)])
        case .placeNeedsLeast:
            GuardScenario(
                .place, "math.max(least, math.floor(available / 2))", "math.floor(available / 2)",
                a.warm { $0.balance = 100 } + [a.place(1, 400, least: 80)])
        default:
            GuardScenario(
                .place, "if not waived and grant > available then\n", "if false then\n",
                a.warm() + [a.place(1, 2000)])
        }
    }

    /// Waived holds stand beside charged ones, and each kind is bounded by its own.
    func waivedScenario(_ a: StepMaker) -> GuardScenario {
        let poor = a.warm { $0.balance = 100 }
        let capped = SpendCaps(day: Millicredits(500))
        switch self {
        case .placeWaivesFunds:
            return GuardScenario(
                .place, "local waived = string.find(meta, '^%d+,%d*,%d*,w|') ~= nil", "local waived = false",
                poor + [a.place(1, 400, isWaived: true)])
        case .placeCountsWaived:
            return GuardScenario(
                .place, "if waived then add('W', amount) end",
                poor + [a.place(1, 400, isWaived: true), a.place(2, 100)])
        case .reassertCountsWaived:
            return GuardScenario(
                .reassert, "if is_waived(hold) then add('W', amount) end",
                poor + [a.reassert(1, 400, isWaived: true), a.place(2, 100)])
        case .waivedIsUncounted:
            return GuardScenario(
                nil, "if is_waived(hold) then subtract('W', amount_of(hold)) end",
                poor + [a.place(1, 400, isWaived: true), a.release(1), a.place(2, 101)])
        case .initRecountsWaived:
            return GuardScenario(
                .initialize, ", 'W', text(W))", ")",
                poor + [
                    a.place(1, 400, isWaived: true),
                    a.initialize { ($0.version, $0.balance, $0.settled) = (2, 100, [(1, 0)]) },
                    a.place(2, 101),
                ])
        case .postedSpendsShadow:
            return GuardScenario(
                .posted, "spend(counted)", "spend(amount)",
                poor + [
                    a.place(1, 400, isWaived: true), a.posted(2, 100, (1, 0), counted: 300),
                    a.place(2, 300, caps: capped, isWaived: true),
                ])
        case .initAddsShadow:
            return GuardScenario(
                .initialize, "unposted + tonumber(counted_of(all[j + 1]))",
                "unposted + tonumber(amount_of(all[j + 1]))",
                poor + [
                    a.place(1, 400, isWaived: true), a.captureWaived(1, shadow: 300),
                    a.captureWaived(2, shadow: 30, force: true),
                    a.initialize { ($0.version, $0.balance) = (2, 100) },
                    a.place(3, 200, caps: capped, isWaived: true),
                ])
        default:
            return GuardScenario(
                .capture, "spend(counted or amount)", "spend(amount)",
                poor + [
                    a.place(1, 400, isWaived: true), a.captureWaived(1, shadow: 300),
                    a.place(2, 300, caps: capped, isWaived: true),
                ])
        }
    }

    func extendScenario(_ a: StepMaker) -> GuardScenario {
        switch self {
        case .extendNeedsHold:
            GuardScenario(.extend, "if not h then return {2} end", a.warm() + [a.touch(1, 10)])
        case .extendNeedsOwner:
            GuardScenario(
                .extend, "if holder ~= owner then return {3} end",
                a.warm() + [a.place(1, 100), a.touch(1, 100).by(bootB)])
        case .touchKeepsProgress:
            GuardScenario(
                .extend, "if progress == '' then progress = old_progress end",
                a.warm() + [a.place(1, 100), a.touch(1, 100, progress: 42), a.touch(1, 100)])
        case .extendAbsolute:
            GuardScenario(
                .extend, "tonumber(total) - tonumber(held)", "tonumber(total)",
                a.warm() + [a.place(1, 100), a.touch(1, 300)])
        case .extendOnlyRaises:
            GuardScenario(
                .extend, "if more <= 0 then", "if false then",
                a.warm() + [a.place(1, 300), a.touch(1, 300), a.touch(1, 100)])
        case .extendNeedsOpenGate:
            GuardScenario(
                .extend, "if v[5] == '1' then return {-3} end",
                a.warm() + [a.place(1, 100), a.gate(2, blocked: true), a.touch(1, 300)])
        case .extendNeedsBalance:
            GuardScenario(
                .extend, "if not v[1] then return {-1} end", [a.reassert(1, 100), a.touch(1, 300)])
        case .extendCaps:
            GuardScenario(
                .extend, "if room and room < more then", "if false then",
                a.warm() + [a.place(1, 100), a.extend(1, 300, caps: SpendCaps(day: Millicredits(299)))])
        default:
            GuardScenario(
                .extend, "if available < more then return {-2, available} end",
                a.warm() + [a.place(1, 100), a.touch(1, 1001)])
        }
    }

    func endScenario(_ a: StepMaker) -> GuardScenario {
        let open = a.warm() + [a.place(1, 400)]
        switch self {
        case .captureKnownCapture:
            return GuardScenario(
                .capture, "if v[2] or not (v[1] or force == '1') then",
                "if not (v[1] or force == '1') then",
                open + [a.capture(1, 300), a.capture(1, 300, force: true)])
        case .captureNeedsHold:
            return GuardScenario(
                .capture, "if v[2] or not (v[1] or force == '1') then", "if v[2] then",
                open + [a.posted(2, 700, (1, 300)), a.capture(1, 300)])
        case .releaseNeedsOwner:
            return GuardScenario(
                .release, "if string.match(v[1], '^%d+|%d+|([^|]*)|') == owner then", "if true then",
                open + [a.release(1).by(bootB)])
        case .reassertKnowsHold:
            return GuardScenario(
                .reassert, "local known = v[1] or v[2]", "local known = v[2]", open + [a.reassert(1, 400)])
        case .reassertKnowsCapture:
            return GuardScenario(
                .reassert, "local known = v[1] or v[2]", "local known = v[1]",
                open + [a.capture(1, 300), a.reassert(1, 400)])
        case .postedDropsHold:
            return GuardScenario(
                .posted, "if v[1] then", "if false then", open + [a.posted(2, 700, (1, 300))])
        case .postedSpends:
            return GuardScenario(.posted, "spend(counted)", open + [a.posted(2, 700, (1, 300))])
        case .postedComparesAmount:
            return GuardScenario(
                .posted, "and amount_of(v[2]) == amount ", "",
                open + [a.capture(1, 300), a.posted(2, 990, (1, 10))])
        case .postedComparesAuthority:
            // The reaper's estimate of a waived hold is 0, as what its owner captured.
            return GuardScenario(
                .posted, " and authority_of(v[2]) <= tonumber(authority)",
                a.warm() + [
                    a.place(1, 400, isWaived: true), a.captureWaived(1, shadow: 300),
                    a.posted(2, 1000, (1, 0), authority: .reaper),
                ])
        case .postedNeedsHash:
            return GuardScenario(
                .posted, "redis.call('HEXISTS', k, 'i') == 1 and ",
                a.warm() + [a.evict(), a.posted(9, 1000)])
        case .postedForgetsGate:
            return GuardScenario(
                .posted, "if tonumber(ARGV[1]) > lg then redis.call('HDEL', k, 'gs') end",
                a.warm() + [
                    a.gate(5, blocked: true), a.posted(1, 1000, generation: 2),
                    a.initialize {
                        $0.gate = 3
                        $0.generation = 2
                    },
                ])
        case .gateNeedsHash:
            return GuardScenario(
                .gate, "if redis.call('HEXISTS', k, 'i') == 0 then return 0 end", [a.gate(1)])
        default:
            return GuardScenario(
                .gate, "if known and tonumber(ARGV[1]) <= tonumber(known) then return 0 end",
                a.warm() + [a.gate(5, blocked: true), a.gate(5, floor: -10), a.gate(4)])
        }
    }
}
