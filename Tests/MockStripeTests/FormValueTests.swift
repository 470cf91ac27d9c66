import Testing

@testable import MockStripe

@Suite struct FormValueTests {
    @Test func bracketsNestAndEmptyOnesAreNumbered() {
        let form = FormValue(form: "a[b][0]=x&a[b][1]=y&expand[]=p&expand[]=q&c=1")
        #expect(form.json.compact == #"{"a":{"b":{"0":"x","1":"y"}},"expand":{"0":"p","1":"q"},"c":"1"}"#)
    }

    @Test func escapesAndPlusesAreDecodedAlsoInNames() {
        let form = FormValue(form: "a%5Bb%5D=1+2%2B3%C3%A9&d=100%&e")
        #expect(form.json.compact == #"{"a":{"b":"1 2+3é"},"d":"100%","e":""}"#)
    }

    @Test func theLaterOfTwoWins() {
        #expect(FormValue(form: "a=1&a=2").json.compact == #"{"a":"2"}"#)
    }

    /// The control paths take both.
    @Test func jsonGivesTheSameAsAForm() throws {
        let json = try #require(JSON(parsing: #"{"a":{"b":["x","y"]},"n":7,"f":true,"none":null}"#))
        let form = FormValue(form: "a[b][0]=x&a[b][1]=y&n=7&f=true")
        let parameters = [FormValue(json), form].map { Parameters(value: $0) }
        for given in parameters {
            #expect(given.group("a")?.texts("b") == ["x", "y"])
            #expect(given.integer("n") == 7)
            #expect(given.flag("f") == true)
            #expect(given.text("none") == nil)
        }
    }

    @Test func jsonTextSurvivesItsOwnParser() throws {
        let nasty = "quote \" slash \\ line \n bell \u{7} é 🧾"
        let text = JSON.object(JSONObject(members: [.init(name: nasty, value: .text(nasty))])).compact
        #expect(try #require(JSON(parsing: text))[nasty]?.text == nasty)
    }
}
