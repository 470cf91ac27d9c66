import Metering
import MoneyPath

/// Spend windows and caps (MONEY_PATH A12).
extension AccountHash {
    struct Rolled {
        var hour: Int64
        var day: Int64
        var minute: Int64
    }

    /// Moves the windows up to the clock; never back.
    mutating func roll(_ call: StoreCall) -> Rolled {
        var minute = call.now / 60_000
        let today = call.now / 86_400_000
        if let last = self.hour?.reached {
            if minute > last {
                var spent = self.hour?.spent ?? 0
                for passed in (last + 1)...min(last + 61, minute) {
                    spent -= self.minutes.removeValue(forKey: passed % 61) ?? 0
                }
                self.hour = SpendWindow(reached: minute, spent: spent)
            } else if call.has(.minuteNeverGoesBack) {
                minute = last
            }
        } else {
            self.hour = SpendWindow(reached: minute, spent: 0)
        }
        if let day = self.day, call.has(.dayNeverGoesBack) ? today <= day.reached : today == day.reached {
            return Rolled(hour: self.hour?.spent ?? 0, day: day.spent, minute: minute)
        }
        self.day = SpendWindow(reached: today, spent: 0)
        return Rolled(hour: self.hour?.spent ?? 0, day: 0, minute: minute)
    }

    mutating func spend(_ amount: Int64, _ call: StoreCall) {
        guard amount != 0 else { return }
        let minute = self.roll(call).minute
        self.minutes[minute % 61, default: 0] += amount
        self.hour?.spent += amount
        self.day?.spent += amount
    }

    /// What the nearest cap leaves beside everything held.
    struct CapRoom {
        var room: Int64
        var nearest: SpendCap
        /// nil: only the request has a cap, and the windows were not looked at.
        var windows: Rolled?
    }

    /// nil: no cap.
    mutating func capRoom(_ caps: SpendCaps, held: Int64, _ call: StoreCall) -> CapRoom? {
        guard caps.session != nil || caps.day != nil else {
            return caps.request.map { CapRoom(room: $0.value, nearest: .request, windows: nil) }
        }
        let windows = self.roll(call)
        var found: CapRoom?
        func consider(_ cap: Millicredits?, used: Int64, _ which: SpendCap) {
            guard let cap, found.map({ cap.value - used < $0.room }) ?? true else { return }
            found = CapRoom(room: cap.value - used, nearest: which, windows: windows)
        }
        consider(caps.request, used: 0, .request)
        consider(caps.session, used: windows.hour + held, .session)
        consider(caps.day, used: windows.day + held, .day)
        return found
    }

    /// {-4, which cap, when it has room again}
    func capReached(
        _ found: CapRoom, _ caps: SpendCaps, need: Int64, held: Int64, _ call: StoreCall
    ) -> HoldNumbers {
        switch found.nearest {
        case .request: HoldNumbers(-4, 1, 0)
        case .session: HoldNumbers(-4, 2, self.hourResets(found, caps, need: need + held))
        case .day: HoldNumbers(-4, 3, (call.now / 86_400_000 + 1) * 86_400_000)
        }
    }

    private func hourResets(_ found: CapRoom, _ caps: SpendCaps, need: Int64) -> Int64 {
        guard let windows = found.windows, let cap = caps.session?.value else { return 0 }
        var spent = windows.hour
        for minute in (windows.minute - 60)...windows.minute {
            spent -= self.minutes[minute % 61] ?? 0
            if spent + need <= cap { return (minute + 61) * 60_000 }
        }
        return (windows.minute + 61) * 60_000
    }
}
