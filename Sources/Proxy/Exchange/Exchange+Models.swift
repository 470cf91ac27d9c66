import Metering

/// `GET /v1/models`: the models that have a price and are allowed, in OpenAI's shape.
extension Exchange {
    func answerModels() {
        guard self.isRead else { return }
        let controls = self.loop.dependencies.controls.current
        let rows = self.loop.dependencies.prices.current.models.filter { controls.allows(model: $0.model) }
        self.answer("{\"object\":\"list\",\"data\":[" + rows.map(Self.model).joined(separator: ",") + "]}")
    }

    func answerModel(named name: String) {
        guard self.isRead else { return }
        guard let row = self.loop.dependencies.prices.current.row(for: name) else {
            self.refuse(.notPriced(name))
            return
        }
        let controls = self.loop.dependencies.controls.current
        guard controls.allows(model: name) || controls.allows(model: row.model) else {
            self.refuse(.modelNotAllowed(name))
            return
        }
        self.answer(Self.model(row))
    }

    private var isRead: Bool {
        if self.request.head.method == .get || self.request.head.method == .head { return true }
        self.refuse(Refusal(.methodNotAllowed, "Use GET."))
        return false
    }

    private func answer(_ body: String) {
        guard let connection = self.connection else {
            self.finish(status: Status.clientClosed, .clientGone)
            return
        }
        // A GET can have a body, too.
        connection.abandonBody()
        let headOnly = self.request.head.method == .head
        let date = self.loop.now()
        connection.write { out in
            ReplyWriter.json(
                body, hold: self.hold, persistence: connection.persistence(of: self.request.head),
                headOnly: headOnly, date: date,
                into: &out)
        }
        self.finish(status: 200, .complete)
        connection.replyEnded()
    }

    private static func model(_ row: ModelPrice) -> String {
        "{\"id\":\(JSONLiteral.string(row.model)),\"object\":\"model\",\"created\":0,\"owned_by\":\"openai\"}"
    }
}
