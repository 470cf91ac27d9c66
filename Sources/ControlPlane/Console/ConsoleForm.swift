/// A form of the console. It works without scripts.
struct ConsoleForm {
    let action: String
    var method = "post"
    /// A line of fields above a list.
    var isFilter = false
    var hiddens: [Hidden] = []
    var inputs: [ConsoleInput] = []
    var buttons: [ConsoleButton]

    struct Hidden {
        let hiddenName: String
        let hiddenValue: String
    }

    init(action: String, csrf: String?, _ inputs: [ConsoleInput], _ buttons: [ConsoleButton]) {
        self.action = action
        self.inputs = inputs
        self.buttons = buttons
        if let csrf { self.hide("csrf", csrf) }
    }

    /// Asks for another list.
    static func filter(_ action: String, _ inputs: [ConsoleInput]) -> ConsoleForm {
        var form = ConsoleForm(action: action, csrf: nil, inputs, [ConsoleButton("Show", look: "second")])
        form.method = "get"
        form.isFilter = true
        return form
    }

    mutating func hide(_ name: String, _ value: String) {
        self.hiddens.append(Hidden(hiddenName: name, hiddenValue: value))
    }

    /// Ids that no other form of the page has.
    mutating func name(_ prefix: String) {
        for index in self.inputs.indices { self.inputs[index].name(prefix) }
    }
}

struct ConsoleButton {
    let buttonText: String
    var buttonName: String?
    var buttonValue = ""
    var buttonClass: String?
    var skipsChecks = false

    init(_ text: String, look: String? = nil) {
        self.buttonText = text
        self.buttonClass = look
    }

    /// Goes back from a confirmation; what was typed is kept.
    static let edit: ConsoleButton = {
        var button = ConsoleButton("Back to the form", look: "second")
        button.buttonName = "step"
        button.buttonValue = "edit"
        button.skipsChecks = true
        return button
    }()
}

/// A field of a form.
struct ConsoleInput {
    let inputName: String
    let label: String
    var inputID = ""
    var inputType = "text"
    var inputValue = ""
    var autocomplete = "off"
    var isPlain = true
    var isSelect = false
    var isArea = false
    var isTick = false
    var isRequired = true
    /// What is typed or pasted beyond it is left out by the browser.
    var lengthMax: Int?
    var fromFragment = false
    var options: [Option] = []
    var hint: String?
    var problem: String?
    var describedBy: String?
    var isInvalid = false

    struct Option {
        let value: String
        let name: String
        let isChosen: Bool
    }

    private init(_ name: String, _ label: String) {
        self.inputName = name
        self.label = label
    }

    mutating func name(_ prefix: String) {
        self.inputID = "\(prefix)-\(self.inputName)"
        let by = [
            self.hint.map { _ in "\(self.inputID)-hint" },
            self.problem.map { _ in "\(self.inputID)-problem" },
        ].compactMap { $0 }
        self.describedBy = by.isEmpty ? nil : by.joined(separator: " ")
        self.isInvalid = self.problem != nil
    }

    static func text(
        _ name: String, _ label: String, _ value: String? = nil, hint: String? = nil, isRequired: Bool = true,
        bytesMax: Int? = nil
    ) -> ConsoleInput {
        var input = ConsoleInput(name, label)
        input.inputValue = value ?? ""
        input.hint = hint
        input.isRequired = isRequired
        input.lengthMax = bytesMax
        return input
    }

    /// - Parameter kind: as browsers keep it: `current-password`, `new-password`.
    static func password(_ name: String, _ label: String, _ kind: String, hint: String? = nil)
        -> ConsoleInput
    {
        var input = ConsoleInput(name, label)
        input.inputType = "password"
        input.autocomplete = kind
        input.hint = hint
        return input
    }

    static func choice(
        _ name: String, _ label: String, _ options: [(value: String, name: String)], _ chosen: String?
    ) -> ConsoleInput {
        var input = ConsoleInput(name, label)
        (input.isPlain, input.isSelect) = (false, true)
        input.options = options.map { Option(value: $0.value, name: $0.name, isChosen: $0.value == chosen) }
        return input
    }

    static func area(_ name: String, _ label: String, _ value: String?) -> ConsoleInput {
        var input = ConsoleInput(name, label)
        (input.isPlain, input.isArea) = (false, true)
        input.inputValue = value ?? ""
        return input
    }

    static func tick(_ name: String, _ label: String) -> ConsoleInput {
        var input = ConsoleInput(name, label)
        (input.isPlain, input.isTick) = (false, true)
        return input
    }
}
