extension HTMLReport {
    /// Colours of lanes are apart in lightness too; none says good or bad.
    static let style: Markup = """
        :root { color-scheme: light dark;
          --page: #f6f5f2; --card: #fff; --ink: #1c1b19; --soft: #5f5d57; --rule: #e3e0d9; --grid: #ebe9e3;
          --link: #1c5cab;
          --pass: #0a6b2d; --pass-bg: #e6f4ea; --fail: #a81f1f; --fail-bg: #fdeaea;
          --k0: #2a78d6; --k1: #e06128; --k2: #138a62; --k3: #c58a00; --k4: #d4568c; --k5: #4a3aa7;
          --k6: #5b8c1e; --k7: #8a4b2a; }
        @media (prefers-color-scheme: dark) { :root {
          --page: #131312; --card: #1d1d1b; --ink: #f0efea; --soft: #a9a7a0; --rule: #35342f; --grid: #2b2a27;
          --link: #86b6ef;
          --pass: #6fd58f; --pass-bg: #15301e; --fail: #ff9a92; --fail-bg: #3d1a1a;
          --k0: #4a96ee; --k1: #ee7a45; --k2: #2cb488; --k3: #d9a520; --k4: #e57bab; --k5: #9b8ff0;
          --k6: #86bd45; --k7: #c08562; } }
        * { box-sizing: border-box; }
        body { margin: 0; background: var(--page); color: var(--ink);
          font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
        header, main, footer { max-width: 1200px; margin: 0 auto; padding: 0 20px; }
        h1 { margin: 36px 0 0; font-size: 30px; letter-spacing: -.02em; }
        h2 { margin: 0; font-size: 22px; letter-spacing: -.01em; overflow-wrap: anywhere; }
        a { color: var(--link); }
        .when, .summary, footer { color: var(--soft); }
        .when { margin: 0 0 16px; }
        .summary { margin: 2px 0 16px; max-width: 75ch; }
        footer { font-size: 14px; padding-bottom: 40px; }
        .facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(210px, 1fr)); gap: 12px 24px;
          margin: 0;
          padding: 16px 0; border-top: 1px solid var(--rule); }
        .facts dt { color: var(--soft); font-size: 13px; }
        .facts dd { margin: 0; font-size: 15px; overflow-wrap: anywhere; }
        .overview { list-style: none; margin: 0 0 24px; padding: 0; border-top: 1px solid var(--rule); }
        .overview li { display: flex; flex-wrap: wrap; gap: 4px 16px; align-items: baseline; padding: 10px 0;
          border-bottom: 1px solid var(--rule); }
        .overview a { font-weight: 600; flex: 1 1 200px; overflow-wrap: anywhere; }
        .overview span { color: var(--soft); font-size: 14px; }
        .overview b { font-size: 14px; min-width: 150px; }
        b.pass { color: var(--pass); } b.fail { color: var(--fail); } b.open { color: var(--soft); }
        section { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; padding: 24px;
          margin: 0 0 24px; }
        .verdicts { list-style: none; margin: 0 0 20px; padding: 0; display: grid; gap: 6px; font-size: 15px; }
        .verdicts li { padding: 6px 12px; border-radius: 6px; overflow-wrap: anywhere;
          border-left: 4px solid var(--rule); }
        .verdicts .pass { background: var(--pass-bg); border-color: var(--pass); }
        .verdicts .fail { background: var(--fail-bg); border-color: var(--fail); }
        .verdicts .pass b { color: var(--pass); } .verdicts .fail b { color: var(--fail); }
        .verdicts b { display: inline-block; min-width: 58px; } .verdicts span { font-weight: 600; }
        .scroll { overflow-x: auto; margin: 0 0 20px; }
        table { border-collapse: collapse; font-size: 14px; min-width: 100%; }
        caption { text-align: left; font-weight: 600; padding: 0 0 6px; }
        th, td { padding: 7px 10px; text-align: left; border-bottom: 1px solid var(--rule);
          white-space: nowrap; }
        thead th { color: var(--soft); font-weight: 500; vertical-align: bottom; white-space: normal;
          line-height: 1.25; }
        thead small { display: block; font-size: 12px; white-space: nowrap; }
        .n { text-align: right; font-variant-numeric: tabular-nums; }
        tbody tr:last-child > * { border-bottom: 0; }
        tbody th { position: sticky; left: 0; background: var(--card); font-weight: 600; }
        .plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr));
          gap: 28px 32px;
          margin: 0 0 20px; padding-top: 8px; align-items: start; }
        figure { margin: 0; min-width: 0; }
        figcaption { font-size: 15px; margin-bottom: 4px; }
        figcaption span { display: block; color: var(--soft); font-size: 13px; }
        figure > svg { display: block; width: 100%; height: auto; }
        .legend { list-style: none; display: flex; flex-wrap: wrap; gap: 2px 16px; margin: 0; padding: 0;
          font-size: 13px; }
        .legend li { display: flex; align-items: center; gap: 6px; overflow-wrap: anywhere; }
        .legend svg { flex: none; }
        svg text { fill: var(--soft); font-size: 12px; font-variant-numeric: tabular-nums; }
        svg .name { fill: var(--ink); font-weight: 600; font-size: 13px; }
        .grid { stroke: var(--grid); stroke-width: 1; }
        .line { fill: none; stroke: var(--k); stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
        .faint .line { stroke-width: 1; opacity: .5; }
        .mark > * { fill: var(--k); stroke: var(--card); stroke-width: 1.5; }
        .bar { fill: var(--k); } .bar.before { opacity: .45; } .bar.peak { fill: none; stroke: var(--k);
          stroke-width: 1.5; }
        .whisker { fill: none; stroke: var(--ink); stroke-width: 1.5; }
        .d1 { stroke-dasharray: 7 4; } .d2 { stroke-dasharray: 2 4; } .d3 { stroke-dasharray: 9 3 2 3; }
        .d4 { stroke-dasharray: 12 5; }
        .k0 { --k: var(--k0); } .k1 { --k: var(--k1); } .k2 { --k: var(--k2); } .k3 { --k: var(--k3); }
        .k4 { --k: var(--k4); } .k5 { --k: var(--k5); } .k6 { --k: var(--k6); } .k7 { --k: var(--k7); }
        details { border-top: 1px solid var(--rule); padding: 10px 0; }
        summary { cursor: pointer; font-weight: 600; font-size: 15px; }
        details[open] summary { margin-bottom: 10px; }
        pre { margin: 0; padding: 14px; background: var(--page); border-radius: 8px; overflow-x: auto;
          font-size: 13px; }
        :focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
        @media (max-width: 600px) { header, main, footer { padding: 0 14px; } section { padding: 18px 14px; }
          h1 { margin-top: 24px; } svg text { font-size: 14px; } svg .name { font-size: 15px; } }
        @media print { section { break-inside: avoid; border: 0; padding: 0; } }
        """
}
