/// What the type of a declared tool means for the bill.
enum ToolTreatment: Equatable {
    /// The client runs it: nothing is billed but the tokens of its declaration.
    case free
    /// Free when its environment is `local`; any other is a container, billed by time.
    case freeWhenLocal
    /// Upstream runs it and reads the context again after each call.
    case loops
    /// As `loops`, once for each call that the client approved: `max_tool_calls` counts built-in tools, and nothing
    /// says that those of a server are among them.
    case loopsWhenApproved
    /// As `loops`, and each call has a fee.
    case billed(ToolKind)
    /// Its fee cannot be bounded by the request.
    case unbounded

    /// The treatment of a `type` in `tools` (openai-python 3.54.0, `ToolParam`; fees: facts A4). A type that
    /// is not known is `unbounded`.
    init(responsesType type: String) {
        switch type {
        case "function", "custom", "namespace", "local_shell", "apply_patch":
            self = .free
        case "shell":
            self = .freeWhenLocal
        // The client runs a computer, but facts A4 counts it among the loops; taking it for one can only hold
        // more. Nothing says that a search among tools costs more than its tokens.
        case "mcp":
            self = .loopsWhenApproved
        case "computer", "computer_use_preview", "tool_search":
            self = .loops
        case "file_search":
            self = .billed(.fileSearch)
        case _ where Self.isDated(type, "web_search_preview"):
            self = .billed(.webSearchPreview)
        case _ where Self.isDated(type, "web_search"):
            self = .billed(.webSearch)
        // `code_interpreter` bills containers by time, `image_generation` the tokens of another model;
        // `programmatic_tool_calling` runs programs upstream whose calls nobody bounds.
        default:
            self = .unbounded
        }
    }

    /// Chat knows no hosted tools.
    init(chatType type: String) {
        self = type == "function" || type == "custom" ? .free : .unbounded
    }

    /// `base`, or `base` with a date such as `_2025_08_26`.
    private static func isDated(_ type: String, _ base: String) -> Bool {
        guard type.hasPrefix(base) else { return false }
        let date = type.utf8.dropFirst(base.utf8.count)
        return date.isEmpty || (date.first == 0x5f && date.allSatisfy { $0 == 0x5f || 0x30...0x39 ~= $0 })
    }
}

/// Whether the bytes of an item of `input` bound its tokens.
enum ItemTreatment: Equatable {
    /// The item is all there.
    case whole
    /// There only with `encrypted_content`; otherwise upstream looks it up by its id.
    case wholeWhenEncrypted
    /// It stands for something that upstream has, or for media.
    case standsForMore
    /// It makes upstream do more than answer.
    case refused

    /// nil: without a type; a message when it has a role, otherwise a reference.
    init(type: String?, hasRole: Bool) {
        switch type {
        case nil:
            self = hasRole ? .whole : .standsForMore
        case "message", "function_call", "function_call_output", "custom_tool_call",
            "custom_tool_call_output",
            "local_shell_call", "local_shell_call_output", "shell_call", "shell_call_output",
            "apply_patch_call",
            "apply_patch_call_output", "computer_call", "computer_call_output", "mcp_list_tools", "mcp_call",
            "mcp_approval_request", "mcp_approval_response", "tool_search_call", "tool_search_output",
            "additional_tools", "configuration_update", "program", "program_output":
            self = .whole
        case "reasoning":
            self = .wholeWhenEncrypted
        // A pass over the context whose output no member caps.
        case "compaction_trigger":
            self = .refused
        // item_reference; compaction, whose summary may hold images; calls of hosted tools, whose results
        // upstream may put in again; and what is not known.
        default:
            self = .standsForMore
        }
    }
}
