import LedgerSim
import Metering

@testable import RedisHolds

/// What one guard is good for: its text in the Lua, and the shortest steps that need it.
struct GuardScenario {
    var cut: LuaCut
    var steps: [StoreStep]

    /// - Parameter new: what stands there when the guard is out.
    init(_ script: HoldScript?, _ old: String, _ new: String, _ steps: [StoreStep]) {
        self.cut = LuaCut(script: script, old: old, new: new)
        self.steps = steps
    }

    init(_ script: HoldScript?, _ old: String, _ steps: [StoreStep]) { self.init(script, old, "", steps) }
}

extension StoreGuard {
    /// One for every guard: the compiler asks for it.
    func scenario(_ a: StepMaker) -> GuardScenario {
        switch self {
        case .fence, .fenceIsRaised, .zeroAmounts, .versionCompare, .minuteNeverGoesBack, .dayNeverGoesBack:
            self.sharedScenario(a)
        case .placeKnownHold, .placeKnownCapture, .epochStamp, .placeNeedsOpenGate, .placeCaps,
            .placeTakesHalf, .placeNeedsLeast, .placeNeedsFunds:
            self.placeScenario(a)
        case .placeWaivesFunds, .placeCountsWaived, .reassertCountsWaived, .waivedIsUncounted,
            .initRecountsWaived, .captureSpendsShadow, .postedSpendsShadow, .initAddsShadow:
            self.waivedScenario(a)
        case .placeLimits, .placeTakesOfLimits, .limitRefusesBeyond, .limitKnowsWhatNeverFits, .limitDrains,
            .limitNeverGoesBack, .limitShrinksWhatIsUsed, .limitOfKeyStreams, .limitOfAccountStreams,
            .limitKnowsWhoseStream, .placeCountsStream, .captureEndsStream, .releaseEndsStream,
            .postedEndsStream,
            .reassertCountsStream, .reapEndsStream, .initRecountsStreams, .limitForgetsDrained,
            .limitForgetsSeldom, .captureCorrectsTokens, .releaseFreesTokens:
            self.limitScenario(a)
        case .captureKnownCapture, .captureNeedsHold, .releaseNeedsOwner, .reassertKnowsHold,
            .reassertKnowsCapture, .postedDropsHold, .postedSpends, .postedComparesAmount,
            .postedComparesAuthority, .postedNeedsHash, .postedForgetsGate, .gateNeedsHash,
            .gateComparesVersion:
            self.endScenario(a)
        case .extendNeedsHold, .extendNeedsOwner, .touchKeepsProgress, .extendAbsolute, .extendOnlyRaises,
            .extendNeedsOpenGate, .extendNeedsBalance, .extendCaps, .extendNeedsFunds:
            self.extendScenario(a)
        case .listCreatesNothing, .loadKeepsIncarnation, .initChecksIncarnation, .initDropsHolds,
            .initDropsCaptures, .initComparesAmount, .initComparesAuthority, .initRecomputes,
            .initAddsCaptured, .initComparesVersion,
            .initTakesSameVersion, .initKeepsLargerSpend, .initClearsMinutes, .initComparesGate,
            .initRestoresGate:
            self.loadScenario(a)
        case .reapNeedsHold, .reapNeedsOwner, .reapNeedsDeadline, .reapTakesOver, .evictNeedsIdle,
            .evictNeedsNothingOpen, .evictKeepsFences:
            self.sweepScenario(a)
        }
    }

    private func sharedScenario(_ a: StepMaker) -> GuardScenario {
        // The client was told 503, and its RELEASE overtook the PLACE.
        let overtaken = a.warm() + [a.release(1).from(2, raise: true), a.place(1, 400)]
        switch self {
        case .fence:
            return GuardScenario(
                nil, "return g and tonumber(generation) < tonumber(string.match(g, '^%d+'))", "return false",
                overtaken)
        case .fenceIsRaised:
            return GuardScenario(nil, "if raise == '1' then", "if false then", overtaken)
        case .zeroAmounts:
            let subtraction = "redis.call('HINCRBY', k, field, '-' .. amount)"
            return GuardScenario(
                nil, "if amount ~= '0' then \(subtraction) end", subtraction,
                a.warm() + [a.place(1, 0), a.capture(1, 0)])
        case .versionCompare:
            return GuardScenario(
                nil, "return a > b or (a == b and tonumber(version) > tonumber(known[2]))", "return true",
                a.warm { $0.version = 5 } + [a.posted(4, 2000)])
        case .minuteNeverGoesBack:
            return GuardScenario(
                nil, "  else\n    minute = last\n  end", "  end",
                a.warm() + [a.capture(1, 5, force: true).at(0), a.capture(2, 6, force: true).at(-120_000)])
        default:
            return GuardScenario(
                nil, "day > tonumber(v[3])", "day ~= tonumber(v[3])",
                a.warm() + [
                    a.capture(1, 5, force: true).at(0), a.capture(2, 6, force: true).at(-86_400_000),
                ])
        }
    }

    private func sweepScenario(_ a: StepMaker) -> GuardScenario {
        let late: Int64 = 30_000
        let refusal = "if owner ~= dead or tonumber(deadline) > ms then return nil end"
        switch self {
        case .reapNeedsHold:
            return GuardScenario(.reap, "if not h then return nil end", a.warm() + [a.reap(1)])
        case .reapNeedsOwner:
            return GuardScenario(
                .reap, refusal, "if tonumber(deadline) > ms then return nil end",
                a.warm() + [a.place(1, 100), a.reap(1, of: bootB).at(late)])
        case .reapNeedsDeadline:
            return GuardScenario(
                .reap, refusal, "if owner ~= dead then return nil end",
                a.warm() + [a.place(1, 100), a.reap(1).at(late - 1)])
        case .reapTakesOver:
            // The old owner was only paused, and must not free what the reaper is about to charge.
            return GuardScenario(
                .reap,
                """
                redis.call('HSET', k, 'h:' .. id,
                  amount .. '|' .. text(ms + tonumber(ttl)) .. '|' .. me .. '|' .. placed .. '|' .. meta)
                """,
                a.warm() + [a.place(1, 100), a.reap(1).at(late), a.release(1).at(late)])
        case .evictNeedsIdle:
            return GuardScenario(
                .evict, "if second - tonumber(v[3] or '0') < tonumber(ARGV[1]) then return 0 end",
                a.warm() + [a.evict(idleSeconds: 60).at(59_999)])
        case .evictNeedsNothingOpen:
            return GuardScenario(
                .evict, "if kind == 'h:' or kind == 'u:' then return 0 end",
                a.warm() + [a.place(1, 0), a.evict().at(late)])
        default:
            return GuardScenario(
                .evict, "< 900 then", "< -1 then",
                a.warm() + [a.release(1).from(2, raise: true), a.evict().at(899_999), a.place(1, 400)])
        }
    }
}
