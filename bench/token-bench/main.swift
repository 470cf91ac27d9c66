import Glibc
import Metering
import TokenTables

// What scripts/tokenizer_check.py asks, over pipes: see `BenchRequest`.
do {
    guard CommandLine.arguments.count == 2 else {
        print("usage: token-bench TABLES    (for scripts/tokenizer_check.py)")
        exit(64)
    }
    let bench = try TokenBench(tables: CommandLine.arguments[1])
    while let request = BenchRequest.read() { bench.answer(request).write() }
} catch {
    print(error)
    exit(1)
}
