// swift-tools-version: 6.2
import PackageDescription

/// One settings array for every target: Swift 6 language mode comes with the tools version.
let settings: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
]

/// Of the targets that an exchange goes through. Each of their objects belongs to one loop or one lock, which debug builds,
/// and with them all tests, check access by access; release builds do without that check. What they call of each other
/// is optimized across their borders.
let dataPlane: [SwiftSetting] =
    settings + [
        .unsafeFlags(
            ["-enforce-exclusivity=unchecked", "-cross-module-optimization"], .when(configuration: .release))
    ]

let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let histogram = Target.Dependency.product(name: "Histogram", package: "hdrhistogram-swift")
let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let hummingbirdTesting = Target.Dependency.product(name: "HummingbirdTesting", package: "hummingbird")
let jwt = Target.Dependency.product(name: "JWTKit", package: "jwt-kit")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let mustache = Target.Dependency.product(name: "Mustache", package: "swift-mustache")
let nioConcurrency = Target.Dependency.product(name: "NIOConcurrencyHelpers", package: "swift-nio")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioHTTP2 = Target.Dependency.product(name: "NIOHTTP2", package: "swift-nio-http2")
let nioHPACK = Target.Dependency.product(name: "NIOHPACK", package: "swift-nio-http2")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let nioTLS = Target.Dependency.product(name: "NIOTLS", package: "swift-nio")
let unixSignals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")

let package = Package(
    name: "tollgate",
    products: [
        .executable(name: "tollgate", targets: ["Tollgate"]),
        .executable(name: "mock-openai", targets: ["mock-openai"]),
        .executable(name: "mock-stripe", targets: ["mock-stripe"]),
        .executable(name: "ledgersim", targets: ["ledgersim"]),
        .executable(name: "token-bench", targets: ["token-bench"]),
        .executable(name: "tollgate-bench", targets: ["tollgate-bench"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types", exact: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-http2", exact: "1.46.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", exact: "0.2.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1"),
        .package(url: "https://github.com/hummingbird-project/swift-mustache", exact: "2.1.1"),
        .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
        .package(url: "https://github.com/vapor/jwt-kit", exact: "5.7.1"),
    ],
    targets: [
        // The pure core: no NIO, no C, no clock, no environment.
        .target(name: "Metering", dependencies: [crypto], swiftSettings: dataPlane),
        .testTarget(name: "MeteringTests", dependencies: ["Metering"], swiftSettings: settings),

        // The machines of the path from hold to settlement: as pure as the core.
        .target(name: "MoneyPath", dependencies: ["Metering"], swiftSettings: dataPlane),
        .testTarget(
            name: "MoneyPathTests", dependencies: ["MoneyPath", "Metering"], swiftSettings: settings),

        // A world of faults around these machines, in simulated time.
        .target(name: "LedgerSim", dependencies: ["MoneyPath", "Metering"], swiftSettings: settings),
        .executableTarget(
            name: "ledgersim", dependencies: ["LedgerSim", argumentParser], swiftSettings: settings),
        .testTarget(
            name: "LedgerSimTests",
            dependencies: ["LedgerSim", "LocalStores", "Metering", "MoneyPath", "PostgresLedger", logging],
            swiftSettings: settings),

        // YAML → prices.
        .target(name: "RateCards", dependencies: ["Metering", yams], swiftSettings: settings),
        .testTarget(
            name: "RateCardsTests", dependencies: ["RateCards", "Metering"], swiftSettings: settings),

        // The hold store.
        .systemLibrary(name: "CHiredis", pkgConfig: "hiredis", providers: [.apt(["libhiredis-dev"])]),
        .target(
            name: "RedisHolds",
            dependencies: ["MoneyPath", "Metering", "CHiredis", logging, nioCore, nioPosix, nioSSL],
            swiftSettings: dataPlane),
        .testTarget(
            name: "RedisHoldsTests",
            dependencies: [
                "RedisHolds", "LedgerSim", "MoneyPath", "Metering", logging, nioCore, nioPosix, nioSSL,
            ],
            swiftSettings: settings),

        // The ledger.
        .systemLibrary(name: "CLibpq", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .target(
            name: "PostgresLedger", dependencies: ["Billing", "Metering", "CLibpq", crypto, logging],
            swiftSettings: dataPlane),
        .testTarget(
            name: "PostgresLedgerTests",
            dependencies: ["PostgresLedger", "Billing", "LocalStores", "Metering", logging],
            swiftSettings: settings),

        // What runs between data plane, ledger and hold store.
        .target(
            name: "Settlement", dependencies: ["MoneyPath", "Metering", logging], swiftSettings: dataPlane),
        .testTarget(
            name: "SettlementTests", dependencies: ["Settlement", "MoneyPath", "Metering", logging],
            swiftSettings: settings),

        // The data plane.
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CMalloc"),
        .target(
            name: "Proxy",
            dependencies: [
                "CMalloc", "COpenSSL", "Metering", logging, nioConcurrency, nioCore, nioHPACK, nioHTTP2,
                nioPosix, nioTLS,
            ],
            swiftSettings: dataPlane),
        .testTarget(
            name: "ProxyTests",
            dependencies: [
                "Proxy", "Metering", logging, nioCore, nioEmbedded, nioHPACK, nioHTTP1, nioHTTP2, nioPosix,
                nioSSL, nioTLS,
            ],
            swiftSettings: settings),

        // Money in and the books: as pure as the core.
        .target(name: "Billing", dependencies: ["Metering", crypto], swiftSettings: settings),
        .testTarget(
            name: "BillingTests", dependencies: ["Billing", "Metering"], swiftSettings: settings),

        // Outbound HTTP and Stripe's API on top of it.
        .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .target(name: "StripeAPI", dependencies: ["Billing", "CCurl", logging], swiftSettings: settings),
        .testTarget(
            name: "StripeAPITests", dependencies: ["StripeAPI", "Billing", nioCore, nioPosix, logging],
            swiftSettings: settings),

        // Purchases and refunds between Stripe and the ledger.
        .target(
            name: "Payments", dependencies: ["Billing", "Metering", "StripeAPI", logging],
            swiftSettings: settings),
        .testTarget(
            name: "PaymentsTests",
            dependencies: ["Payments", "Billing", "Metering", "StripeAPI", logging],
            swiftSettings: settings),

        // Statements as PDF.
        .systemLibrary(
            name: "CPango", pkgConfig: "pangocairo", providers: [.apt(["libpango1.0-dev"])]),
        .target(
            name: "StatementPDF", dependencies: ["Billing", "Metering", "CPango"], swiftSettings: settings),
        .testTarget(
            name: "StatementPDFTests", dependencies: ["StatementPDF", "Billing", "Metering"],
            swiftSettings: settings),

        // The control plane.
        .target(
            name: "ControlPlane",
            dependencies: [
                "Billing", "COpenSSL", "Metering", crypto, httpTypes, hummingbird, jwt, lifecycle, logging,
                mustache, nioCore,
            ],
            // In the binary, since the binary is all that is installed.
            resources: [.embedInCode("Web/Files")],
            swiftSettings: settings),
        .testTarget(
            name: "ControlPlaneTests",
            dependencies: [
                "ControlPlane", "Billing", "Metering", crypto, httpTypes, hummingbird, hummingbirdTesting,
                jwt,
                logging, nioCore,
            ],
            swiftSettings: settings),

        // Files of the tokenizer: vocabularies in, tables out, tables mapped.
        .target(name: "TokenTables", dependencies: ["Metering", crypto], swiftSettings: settings),
        .testTarget(
            name: "TokenTablesTests", dependencies: ["TokenTables", "Metering"], swiftSettings: settings),
        // What bench/tokenizer_check.py asks.
        .executableTarget(
            name: "token-bench", dependencies: ["TokenTables", "Metering"], path: "bench/token-bench",
            swiftSettings: settings),

        // The bench harness: a client like any other, which links nothing of the proxy; `settle` alone drives the settler.
        .target(
            name: "LoadBench", dependencies: [histogram, nioCore, nioPosix, nioSSL, yams],
            path: "bench/LoadBench",
            swiftSettings: settings),
        .executableTarget(
            name: "tollgate-bench",
            dependencies: [
                "LoadBench", "Metering", "PostgresLedger", "Settlement", argumentParser, logging, nioPosix,
            ],
            path: "bench/tollgate-bench", swiftSettings: settings),
        .testTarget(
            name: "LoadBenchTests", dependencies: ["LoadBench", "MockOpenAI", nioPosix],
            swiftSettings: settings),

        // Peers for dev mode and tests.
        .target(name: "LocalStores", swiftSettings: settings),
        .testTarget(name: "LocalStoresTests", dependencies: ["LocalStores"], swiftSettings: settings),
        .target(
            name: "MockOpenAI", dependencies: [crypto, nioCore, nioPosix, nioSSL], swiftSettings: settings),
        .executableTarget(
            name: "mock-openai", dependencies: ["MockOpenAI", argumentParser, nioPosix],
            swiftSettings: settings),
        .testTarget(
            name: "MockOpenAITests", dependencies: ["MockOpenAI", crypto, nioPosix], swiftSettings: settings),

        .target(
            name: "MockStripe",
            dependencies: [crypto, httpTypes, hummingbird, lifecycle, logging, nioCore, nioHTTP1, nioPosix],
            swiftSettings: settings),
        .executableTarget(
            name: "mock-stripe", dependencies: ["MockStripe", argumentParser, nioPosix],
            swiftSettings: settings),
        .testTarget(
            name: "MockStripeTests", dependencies: ["MockStripe", crypto, nioPosix],
            swiftSettings: settings),

        // The executable: the only place that knows every target.
        .executableTarget(
            name: "Tollgate",
            dependencies: [
                "Billing", "ControlPlane", "LocalStores", "Metering", "MockOpenAI", "MockStripe", "MoneyPath",
                "Payments",
                "PostgresLedger", "Proxy", "RateCards", "RedisHolds", "Settlement", "StatementPDF",
                "StripeAPI",
                "TokenTables",
                argumentParser, httpTypes, hummingbird, lifecycle,
                logging,
                nioCore,
                nioPosix, nioSSL, unixSignals, yams,
            ],
            swiftSettings: settings),
        .testTarget(
            name: "TollgateTests",
            dependencies: [
                "Tollgate", "Billing", "ControlPlane", "Metering", "PostgresLedger", "RedisHolds",
                "StripeAPI", logging,
            ],
            swiftSettings: settings),
    ]
)
