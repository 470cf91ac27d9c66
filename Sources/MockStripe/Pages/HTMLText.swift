/// The frame of all pages.
enum HTMLText {
    static func escaped(_ text: String) -> String {
        var out = ""
        for character in text {
            switch character {
            case "&": out += "&amp;"
            case "<": out += "&lt;"
            case ">": out += "&gt;"
            case "\"": out += "&quot;"
            case "'": out += "&#39;"
            default: out.append(character)
            }
        }
        return out
    }

    static func page(_ title: String, _ body: String) -> String {
        """
        <!doctype html>
        <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
        <title>\(title) · mock-stripe</title><style>\(style)</style></head>
        <body><main>
        \(body)
        </main></body></html>

        """
    }

    private static let style = """
        *{box-sizing:border-box}body{margin:0;background:#f4f5f8;color:#1a1f36;
        font:16px/1.5 system-ui,sans-serif}
        main{max-width:26rem;margin:3rem auto;padding:2rem;background:#fff;border-radius:12px;
        box-shadow:0 4px 24px #1a1f3618}h1{margin:.5rem 0 1rem;font-size:2rem}
        h2{margin:1.5rem 0 .5rem;font-size:.85rem;text-transform:uppercase;letter-spacing:.05em;color:#697386}
        .badge{margin:0;padding:.25rem .6rem;background:#ffdf99;color:#5c3d00;border-radius:6px;
        font-size:.8rem}
        .remark{padding:.6rem .8rem;background:#fde8e8;color:#9b1c1c;border-radius:6px}
        table{width:100%;border-collapse:collapse}td{padding:.5rem 0;border-bottom:1px solid #e3e8ee;
        vertical-align:top}td:last-child{text-align:right;white-space:nowrap}
        .total td{border:0;font-weight:600}
        small{display:block;color:#697386}form{margin:.5rem 0}
        button{width:100%;padding:.7rem;border:1px solid #d5dbe1;border-radius:8px;background:#fff;
        color:inherit;        font:inherit;cursor:pointer}button:hover{background:#f6f8fa}
        button.primary{border-color:#0a5bd8;background:#0a5bd8;color:#fff;font-weight:600}
        button.primary:hover{background:#084aaf}button.link{border:0;color:#0a5bd8}
        """
}
