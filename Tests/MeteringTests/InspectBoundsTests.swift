import Testing

@testable import Metering

/// The hold that is made from a body covers whatever the documentation lets upstream bill for it.
@Suite struct InspectBoundsTests {
    @Test(arguments: InspectedEndpoint.allCases.filter { !$0.takesForm })
    func holdsCoverEveryDocumentedUsage(_ endpoint: InspectedEndpoint) throws {
        let seed = UInt64.random(in: .min ... .max)
        print("InspectBoundsTests \(endpoint), seed \(seed)")
        var dice = BillDice(seed: seed)
        var dearest = 0.0
        for round in 0..<4_000 {
            let row = dice.row(endpoint)
            let bill = dice.bill(endpoint, row)
            let note = "seed \(seed) round \(round): \(bill.body)"
            guard case .success(var request) = Inspection.inspect(bill.body, as: endpoint) else {
                Issue.record("refused: \(note)")
                return
            }
            if let earlier = bill.earlier { request.follow(earlier) }
            let tiers: [ServiceTier] = dice.flip() ? [.default] : [.default, .priority]
            let bounds = request.bounds(bodyBytes: bill.body.utf8.count, permittedTiers: tiers)
            let hold = try row.worstCase(bounds, outputCap: request.outputCap ?? row.outputMax, mode: .exact)
            let usage = dice.usage(of: bill)
            let served = dice.pick(tiers)
            let charge = try row.charge(for: usage, served: served, permitted: tiers, mode: .exact).amount
            if charge > hold {
                Issue.record("charge \(charge) > hold \(hold) of \(usage): \(note)")
                return
            }
            dearest = max(dearest, Double(charge.value) / Double(max(1, hold.value)))
        }
        // Bounds that nothing comes near would say nothing.
        let isFree = endpoint == .moderations
        #expect(isFree || dearest > (endpoint == .responses ? 0.3 : 0.5), "\(endpoint): \(dearest)")
    }
}
