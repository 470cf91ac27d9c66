import LedgerSim
import Metering

@testable import RedisHolds

extension StoreGuard {
    func limitScenario(_ a: StepMaker) -> GuardScenario {
        switch self {
        case .placeLimits, .placeTakesOfLimits, .limitRefusesBeyond, .limitKnowsWhatNeverFits, .limitDrains,
            .limitNeverGoesBack, .limitShrinksWhatIsUsed, .limitForgetsDrained, .limitForgetsSeldom:
            self.rateScenario(a)
        case .captureCorrectsTokens, .releaseFreesTokens:
            self.correctionScenario(a)
        default:
            self.streamScenario(a)
        }
    }

    private func rateScenario(_ a: StepMaker) -> GuardScenario {
        let once = RequestLimits(requestsPerMinute: 1)
        let twice = a.warm() + [a.place(1, of: once), a.place(2, of: once)]
        switch self {
        case .placeLimits:
            return GuardScenario(.place, "if limits.which > 0 then", "if false then", twice)
        case .placeTakesOfLimits:
            return GuardScenario(
                .place, "if #limits.writes > 0 then redis.call('HSET', k, unpack(limits.writes)) end", twice)
        case .limitRefusesBeyond:
            return GuardScenario(.place, "elseif after > limit * 60000 then", "elseif false then", twice)
        case .limitKnowsWhatNeverFits:
            return GuardScenario(
                .place, "if need > limit then", "if false then",
                a.warm() + [a.place(1, tokens: 101, account: RequestLimits(tokensPerMinute: 100))])
        case .limitForgetsDrained:
            return GuardScenario(
                .place, "if limits.is_new then forget_drained(ms) end",
                a.warm() + [a.place(1, key: 7, of: once), a.place(2, key: 8, of: once).at(600_000)])
        case .limitForgetsSeldom:
            return GuardScenario(
                nil, "if last and ms - tonumber(last) < 600000 then return end",
                a.warm() + [a.place(1, key: 7, of: once), a.place(2, key: 8, of: once).at(60_000)])
        case .limitDrains:
            return GuardScenario(
                nil, " - passed * limit", a.warm() + [a.place(1, of: once), a.place(2, of: once).at(60_000)])
        case .limitNeverGoesBack:
            return GuardScenario(
                nil, "local last = math.max(tonumber(at), ms)", "local last = ms",
                a.warm() + [
                    a.place(1, of: RequestLimits(requestsPerMinute: 9)).at(5000),
                    a.place(2, of: RequestLimits(requestsPerMinute: 9)).at(0),
                ])
        default:
            // Lowered from 100 to 10 with 50 in use: full, for a minute, not for five.
            return GuardScenario(
                nil, "math.min(tonumber(used), limit * 60000)", "tonumber(used)",
                a.warm() + [
                    a.place(1, tokens: 50, account: RequestLimits(tokensPerMinute: 100)),
                    a.place(2, tokens: 10, account: RequestLimits(tokensPerMinute: 10)),
                ])
        }
    }

    private func streamScenario(_ a: StepMaker) -> GuardScenario {
        let one = RequestLimits(streams: 1)
        let open = a.warm() + [a.place(1, of: one)]
        let counting = "count_stream(v[1], -1)"
        switch self {
        case .limitOfKeyStreams:
            return GuardScenario(
                .place, "if of_key and mine >= of_key then refuse(5, 1000) end",
                open + [a.place(2, of: one)])
        case .limitOfAccountStreams:
            return GuardScenario(
                .place, "if of_account and all >= of_account then refuse(6, 1000) end",
                a.warm() + [a.place(1, key: 7, of: one), a.place(2, key: 8, account: one)])
        case .limitKnowsWhoseStream:
            return GuardScenario(
                .place, "tonumber(stored[6] or '0')", "tonumber(stored[5] or '0')",
                open + [a.place(2, key: 8, of: one)])
        case .placeCountsStream:
            return GuardScenario(.place, "if key ~= '0' then", "if false then", open + [a.place(2, of: one)])
        case .captureEndsStream:
            return GuardScenario(.capture, counting, open + [a.capture(1, 5), a.place(2, of: one)])
        case .releaseEndsStream:
            return GuardScenario(.release, counting, open + [a.release(1), a.place(2, of: one)])
        case .postedEndsStream:
            return GuardScenario(.posted, counting, open + [a.posted(2, 900, (1, 5)), a.place(2, of: one)])
        case .reassertCountsStream:
            let named = PlaceLimits(keyID: 7, key: one, account: .none, tokens: 0)
            return GuardScenario(
                .reassert, "count_stream(hold, 1)",
                a.warm() + [a.reassert(1, 10, limits: named), a.place(2, of: one)])
        case .initRecountsStreams:
            // The ledger settled it while Redis could not be told.
            return GuardScenario(
                .initialize,
                """
                for _, name in ipairs(counted) do redis.call('HDEL', k, name) end
                for name, count in pairs(streams) do redis.call('HSET', k, name, text(count)) end
                """,
                open + [
                    a.initialize {
                        $0.version = 2
                        $0.settled = [(1, 5)]
                    }, a.place(2, of: one),
                ])
        default:
            return GuardScenario(
                .reap, "count_stream(h, -1)",
                open + [a.reap(1).at(30_000), a.place(2, of: one).by(bootB).at(30_000)])
        }
    }

    private func correctionScenario(_ a: StepMaker) -> GuardScenario {
        let limits = RequestLimits(tokensPerMinute: 100)
        let open = a.warm() + [a.place(1, tokens: 90, of: limits)]
        return if self == .captureCorrectsTokens {
            // It used three.
            GuardScenario(
                .capture, "if v[1] and used then correct_tokens(v[1], used) end",
                open + [a.capture(1, 5), a.place(2, tokens: 90, of: limits)])
        } else {
            GuardScenario(
                .release, "correct_tokens(v[1], '0')",
                open + [a.release(1), a.place(2, tokens: 100, of: limits)])
        }
    }
}
