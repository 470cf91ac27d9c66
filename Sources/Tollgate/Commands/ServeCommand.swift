import ArgumentParser
import Logging
import PostgresLedger
import Proxy
import RedisHolds
import Settlement

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Run the proxy.",
        discussion: """
            All configuration comes from the environment; every bad setting is reported at once, before a port is \
            bound. Required: DATABASE_URL, REDIS_URL, OPENAI_API_KEY, ADMIN_TOKEN, KEY_PEPPER, SESSION_SECRET. \
            Optional, with defaults: OPENAI_BASE_URL (https://api.openai.com/v1), LISTEN (127.0.0.1:8080), \
            OPS_LISTEN (127.0.0.1:9090), PUBLIC_URL, CORS_ORIGINS, DATABASE_DIRECT_URL, OPENAI_CA_FILE, \
            BILLING_ROUNDING_MODE (exact), BILLING_SINGLE_REQUEST_CAP, BILLING_SESSION_CAP, BILLING_DAILY_CAP, \
            BILLING_ON_DISCONNECT (cancel), BILLING_HOLDS (full), BILLING_HOLD_STEP_TOKENS (256), \
            TOLLGATE_THREADS (cores), TLS_CERT and TLS_KEY (lists of PEM files, chosen by SNI), TRUSTED_PROXIES (networks), ACCESS_LOG (-, off, or a file), UPSTREAM_HTTP2 (true), \
            HTTPS_PROXY, HTTP_PROXY, NO_PROXY. Secrets can be given as NAME_FILE.

            Start values of what `tollgate flag` changes at run time: BILLING_CHARGING_ENABLED (true), \
            BILLING_PURCHASE_ENABLED (true), BILLING_AUTO_RECHARGE (false), BILLING_ROLLOUT_PERCENTAGE (100), \
            BILLING_ALLOWLIST (users, by commas), BILLING_MODEL_ALLOWLIST (all), BILLING_ANOMALY_MULTIPLIER (5).

            Request limits, none unless set, 1 to 1000000000: RATE_LIMIT_KEY_RPM, RATE_LIMIT_KEY_TPM, \
            RATE_LIMIT_KEY_STREAMS, and the same with ACCOUNT in place of KEY.

            Journal: JOURNAL_DIR (var/journal; local disk, one per host, kept over restarts), JOURNAL_SYNC (group: on \
            disk within 10 ms; strict: before the end of each reply), JOURNAL_RETENTION_HOURS (72), \
            JOURNAL_SEGMENT_BYTES (16777216).

            Stripe: STRIPE_SECRET_KEY and STRIPE_WEBHOOK_SECRET (without them purchases answer 503), STRIPE_API_BASE \
            (https://api.stripe.com), STRIPE_CA_FILE. Auto-recharge: BILLING_AUTO_RECHARGE_MAX_USD_PER_DAY (200).

            Retries: IDEMPOTENCY_REPLY_BYTES_MAX (1048576), IDEMPOTENCY_ACCOUNT_BYTES_MAX (16777216).

            Statements: STATEMENT_NAME (Tollgate), STATEMENT_ADDRESS (up to eight lines, by line ends or |), \
            STATEMENT_LOGO (a PNG file).

            Credits page: PORTAL_APP_URL (where people without a session are sent), PORTAL_JWT_SECRET (HS256) or \
            PORTAL_JWKS_URL or PORTAL_JWKS_FILE (RS256, ES256, EdDSA), with PORTAL_JWT_ISSUER and \
            PORTAL_JWT_AUDIENCE; STRIPE_CHECKOUT_ORIGIN (if Stripe's page has a domain of yours), ASSET_CHART_JS \
            (/usr/share/javascript/chart.js/chart.min.js; without it, figures stand in tables only).

            Tokenizer: TOKENIZER_DIR (var/tokenizer; o200k_base.tiktoken and cl100k_base.tiktoken, and the tables that \
            are made of them; without them holds are made of bytes, and are larger).

            Logs: LOG_FORMAT (json; or text), LOG_LEVEL (info; trace, debug, notice, warning, error, critical), on \
            standard error.

            Traces, none unless an endpoint is set: OTEL_EXPORTER_OTLP_ENDPOINT or \
            OTEL_EXPORTER_OTLP_TRACES_ENDPOINT (OTLP/HTTP with JSON), OTEL_EXPORTER_OTLP_HEADERS (a secret: \
            key=value,…), OTEL_SERVICE_NAME (tollgate), TRACE_SAMPLE_RATIO or OTEL_TRACES_SAMPLER_ARG (1; a client's \
            traceparent gives the ids and does not choose), TRACE_PARENT_BASED (false; that of a peer in \
            TRUSTED_PROXIES chooses), TRACE_UPSTREAM (false; whether the upstream is told traceparent and tracestate).

            Limits: MAX_HEAD_BYTES (32768), MAX_HEAD_FIELDS (128), MAX_JSON_BODY_BYTES (20971520), \
            MAX_FORM_BODY_BYTES (26279936), MAX_CONTROL_BODY_BYTES (1048576), MAX_RATE_CARD_BODY_BYTES (4194304), \
            MAX_BUFFERED_BODY_BYTES (536870912), \
            MAX_CONNECTIONS (from the descriptor limit), MAX_CONNECTIONS_PER_ADDRESS (three quarters of it), \
            MAX_OPEN_STREAMS (16384), MAX_UPSTREAM_CONNECTIONS (8192, or what the descriptor limit allows).

            Time-outs, NAME_SECONDS: HEADER_TIMEOUT (10), BODY_TIMEOUT (30), BODY_TOTAL_TIMEOUT (300), \
            KEEPALIVE_TIMEOUT (75), CLIENT_WRITE_TIMEOUT (120), TLS_HANDSHAKE_TIMEOUT (10), \
            UPSTREAM_CONNECT_TIMEOUT (10), UPSTREAM_HEAD_TIMEOUT (600), UPSTREAM_IDLE_TIMEOUT (120), \
            UPSTREAM_KEEPALIVE (30), EXCHANGE_TIMEOUT (3600), DRAIN_TIMEOUT (300), SHUTDOWN_DELAY (0), \
            SHUTDOWN_TIMEOUT (30).

            SIGTERM and SIGINT drain and exit 0; a second one ends at once. Under systemd (Type=notify) it says when it is \
            ready, when it stops, and, with WatchdogSec, that it lives. SIGHUP reads certificates and \
            NAME_FILE secrets again and opens the access log anew; what the environment itself sets stays.
            """)

    func run() async throws {
        try await reporting {
            let hangUps = await HangUps()
            let configuration = try ServeConfiguration(
                reading: .environment(), descriptors: System.raiseDescriptorLimit())
            configuration.logs.bootstrap()
            let logger = configuration.logs.logger()
            do {
                let deployment = try await Deployment(
                    configuration, logger: logger,
                    rereadSecrets: { try RotatingSecrets(reading: .environment()) })
                try await ServiceManager.watched {
                    try await deployment.run(following: hangUps) { _ in ServiceManager.tell(.ready) }
                }
            } catch let error as AccessLog.CannotOpen {
                throw BadConfiguration(problems: [SettingProblem(name: "ACCESS_LOG", message: "\(error)")])
            } catch let error as JournalFileFailure {
                throw BadConfiguration(problems: [SettingProblem(name: "JOURNAL_DIR", message: "\(error)")])
            } catch let error as RedisAddressProblem {
                throw BadConfiguration(problems: [SettingProblem(name: "REDIS_URL", message: "\(error)")])
            } catch let error as PostgresConfiguration.Invalid {
                throw BadConfiguration(problems: [SettingProblem(name: "DATABASE_URL", message: "\(error)")])
            }
        }
    }
}
