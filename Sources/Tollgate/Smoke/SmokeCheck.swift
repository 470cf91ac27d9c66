/// The runbook's T-0 list, in the order in which it is gone through.
enum SmokeCheck: String, ListedCheck {
    case health, ready, headers, cors
    case unauthorized
    case summary, packages, rates
    case user, checkout, grant, webhook
    case call, usage, ledger, retry, stream
    case insufficient
    case books, cleanup

    var title: String {
        switch self {
        case .health: "the deployment answers, and says which version it is"
        case .ready: "all that it depends on is there"
        case .headers: "replies carry the security headers"
        case .cors: "a foreign origin is not let in"
        case .unauthorized: "nobody gets in without a key"
        case .summary: "the billing summary has its shape"
        case .packages: "the three packages cost and grant what they must"
        case .rates: "the models of this test have prices"
        case .user: "a throw-away user begins with nothing"
        case .checkout: "a purchase costs what the server says, not the client"
        case .grant: "a payment grants its credits once"
        case .webhook: "an event that comes again grants nothing; a forged one is refused"
        case .call: "a metered call is answered"
        case .usage: "its usage is recorded once, at the price of the rate card"
        case .ledger: "the ledger deducts exactly that, and so does the balance"
        case .retry: "a retry with the same key is the same exchange and costs nothing"
        case .stream: "a stream ends whole and is charged like any other call"
        case .insufficient: "too few credits are a 402 that says how many are missing"
        case .books: "the ledger's lines add up to the balance"
        case .cleanup: "what the test made is taken back"
        }
    }

    var needs: [SmokeCheck] {
        switch self {
        case .health: []
        case .ready, .headers, .cors, .unauthorized, .summary: [.health]
        case .packages, .rates: [.summary]
        case .user: [.ready, .summary]
        case .checkout: [.user]
        case .grant: [.checkout]
        case .webhook: [.grant]
        case .call: [.user, .rates, .grant]
        case .usage: [.call]
        case .ledger: [.usage]
        case .retry, .stream, .books: [.ledger]
        case .insufficient: [.user, .rates]
        // Whatever went wrong: what is there must go. It knows itself what was made.
        case .cleanup: []
        }
    }
}
