import Testing

@testable import ControlPlane

/// What charging would have brought, in the API and on its page.
@Suite struct ShadowReportRouteTests {
    @Test func theReportHasTheSumsOfTheCommand() async throws {
        let rig = ControlRig()
        let reply = try await rig.get(
            "/api/admin/shadow-report?from=1970-01-02&to=1970-01-03T00:00:01Z", ControlRig.adminToken)
        func sums(_ requests: Int, _ withoutCover: Int, _ shadow: Int, _ payable: Int, _ cost: Int) -> String
        {
            #""requests":\#(requests),"withoutCover":\#(withoutCover),"shadowMillicredits":"\#(shadow)","#
                + #""payableMillicredits":"\#(payable)","costPicousd":"\#(cost)""#
        }
        let all = sums(2, 1, 10_500, 1_500, 1_500_000_000)
        #expect(
            reply.text == #"{"total":{\#(all)},"days":[{"day":"2024-10-04",\#(all)}],"models":["#
                + #"{"model":"gpt-4o",\#(sums(1, 1, 9_000, 0, 750_000_000))},"#
                + #"{"model":"gpt-5",\#(sums(1, 0, 1_500, 1_500, 750_000_000))}],"#
                + #""accounts":[{"accountId":1,"userId":"ada",\#(all)}]}"#)
        #expect(rig.admin.spans.withLock { $0 } == [[86_400_000, 172_801_000]])
    }

    @Test func whatIsWrongOrTooMuchIsSaid() async throws {
        let rig = ControlRig()
        let wrong = try await rig.get("/api/admin/shadow-report?to=soon", ControlRig.adminToken)
        #expect(try wrong.status == 400 && wrong.string("param") == "to")
        #expect(try await rig.get("/api/admin/shadow-report", FakeLedger.adaKey).status == 403)
        rig.admin.isSlow.withLock { $0 = true }
        let slow = try await rig.get("/api/admin/shadow-report", ControlRig.adminToken)
        #expect(try slow.status == 504 && slow.string("code") == "too_slow")
    }

    @Test func thePageShowsItOrSaysThatThereIsNothing() async throws {
        let rig = ConsoleRig(.viewer)
        let page = try await rig.get("/admin/shadow-report?from=2024-10-01&to=2024-10-04").text
        for text in ["10.5", "1.5", "$0.0015", "href=\"/admin/accounts/1\"", "value=\"2024-10-01\""] {
            #expect(page.contains(text), "\(text)")
        }
        let day: Int64 = 86_400_000
        #expect(rig.rig.admin.spans.withLock { $0 } == [[19_997 * day, 20_001 * day]])
        let empty = try await rig.get("/admin/shadow-report?from=1970-01-01").text
        #expect(empty.contains("there is nothing to compare") && !empty.contains("By model"))
        let wrong = try await rig.get("/admin/shadow-report?from=2024-10-05&to=2024-10-04").text
        #expect(wrong.contains("Must not be before the first day.") && !wrong.contains("By model"))
        // Without days: the last thirty.
        _ = try await rig.get("/admin/shadow-report")
        let asked = try #require(rig.rig.admin.spans.withLock { $0.last })
        #expect(try #require(asked[1]) - #require(asked[0]) == 30 * day)
    }
}
