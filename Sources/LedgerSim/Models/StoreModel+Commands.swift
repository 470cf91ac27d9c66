import Metering
import MoneyPath

extension HoldCommand {
    /// Whose hash it is for; nil: the node itself answers.
    public var account: AccountID? {
        switch self {
        case .place(let request), .reassert(let request, _, _): request.account
        case .capture(let settlement, _): settlement.account
        case .release(_, let account), .touch(_, let account, _, _), .extend(_, let account, _, _, _),
            .load(let account, _), .initialize(let account, _, _, _):
            account
        case .posted(let posting): posting.balance.account
        case .gate(let gate): gate.account
        case .readNode: nil
        }
    }
}

extension AccountHash {
    mutating func answer(_ command: HoldCommand, _ call: StoreCall) throws(ScriptAborted) -> HoldReply {
        switch command {
        case .place(let request):
            .numbers(self.place(request, call))
        case .capture(let settlement, let force):
            .numbers(HoldNumbers(try self.capture(settlement, force: force, call)))
        case .release(let hold, _):
            .numbers(HoldNumbers(try self.release(hold, call)))
        case .touch(let hold, _, let held, let progress):
            // The session sends TOUCH with a fence that is never raised.
            try self.extend(hold, total: held, progress: progress, caps: .none, raise: false, call)
        case .extend(let hold, _, let total, let progress, let caps):
            try self.extend(hold, total: total, progress: progress, caps: caps, raise: false, call)
        case .reassert(let request, let amount, let progress):
            .numbers(HoldNumbers(self.reassert(request, amount: amount, progress: progress, call)))
        case .load(_, let nonce):
            self.load(nonce: nonce, call)
        case .initialize(_, let incarnation, let epoch, let snapshot):
            .numbers(HoldNumbers(self.initialize(incarnation, epoch: epoch, snapshot, call)))
        case .posted(let posting):
            .numbers(HoldNumbers(try self.posted(posting, call)))
        case .gate(let gate):
            .numbers(HoldNumbers(self.take(gate, call)))
        case .readNode:
            preconditionFailure("StoreNode.execute answers it: it is for no account")
        }
    }
}
