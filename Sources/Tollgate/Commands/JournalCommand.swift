import ArgumentParser
import Foundation
import Metering
import MoneyPath
import Settlement

struct JournalCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "journal",
        abstract: "The journals of this host: list, check, show, salvage.",
        discussion: """
            A journal carries what was served from a process to the ledger. Each process (boot) has a directory of its \
            own below JOURNAL_DIR; the next start on this host takes over those of boots that ended. All commands but \
            salvage change nothing and may run beside the processes. Exit 1: damage was found, or nothing was done; \
            64: wrong usage, such as a boot that has no journal; 78: the directory cannot be read.
            """,
        subcommands: [List.self, Check.self, Show.self, Salvage.self])

    struct Directory: ParsableArguments {
        @Option(help: "The directory of the journals; default: JOURNAL_DIR, or var/journal.")
        var dir: String?

        var path: String { self.dir ?? JournalCommand.configuredDirectory() }
    }

    /// JOURNAL_DIR as `serve` reads it.
    static func configuredDirectory() -> String {
        var reader = SettingsReader.environment()
        return MoneyPathSettings(&reader).journalDirectory
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "One line per boot, oldest first.",
            discussion: """
                Columns: boot; when it started; state (live: its lock is held, by its process or by one that takes it \
                over; ended: the next start takes it over; recovered: since when another journal has what waited); \
                segment files; their bytes; outcomes that are kept; outcomes that are not known to be posted; \
                exchanges without an end; damage (- is none).
                """)
        @OptionGroup var directory: Directory

        func run() async throws {
            try await reportingJournals {
                let inspector = JournalInspector(root: directory.path)
                print("boot\tstarted\tstate\tsegments\tbytes\toutcomes\tunacknowledged\topen\tdamage")
                for boot in try inspector.boots() {
                    guard let journal = try inspector.readIfThere(boot) else { continue }
                    print(JournalText.line(journal))
                }
                for path in try inspector.setAside() {
                    complain("\(path) was put aside by a salvage; nobody reads it any more")
                }
            }
        }
    }

    struct Check: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Read everything strictly; exit 1 with file and offset of all damage.",
            discussion: """
                Holes behind what was known to be on disk are what a power cut leaves: they are told, and are no \
                damage.
                """)
        @OptionGroup var directory: Directory
        @Argument(help: "One boot; default: all.") var boot: BootArgument?

        func run() async throws {
            try await reportingJournals {
                let inspector = JournalInspector(root: directory.path)
                let boots = try inspector.boots()
                if let boot, !boots.contains(boot.id) { throw unknown(boot.id, in: directory.path) }
                var isWhole = true
                for id in boots where boot == nil || boot?.id == id {
                    guard let journal = try inspector.readIfThere(id) else { continue }
                    isWhole = isWhole && journal.isWhole
                    for line in JournalText.findings(journal) { print(line) }
                }
                guard isWhole else { throw Exit.checkFailed }
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "The records of one hold, in their order.",
            discussion: "Amounts are millicredits. A journal holds no prompts and no replies.")
        @OptionGroup var directory: Directory
        @Argument(help: "The boot, as `journal list` shows it.") var boot: BootArgument
        @Option(help: "The hold: x-tollgate-request-id of the reply.") var hold: BootArgument

        func run() async throws {
            try await reportingJournals {
                let inspector = JournalInspector(root: directory.path)
                guard try inspector.boots().contains(boot.id),
                    let journal = try inspector.readIfThere(boot.id)
                else { throw unknown(boot.id, in: directory.path) }
                print("sequence\trecord\tfacts\tplace")
                var isThere = false
                journal.contents.forEachEntry(of: hold.id) { entry in
                    isThere = true
                    print(JournalText.line(entry, of: journal))
                }
                guard isThere else {
                    complain("\(journal.path) has no record of hold \(hold.id)")
                    throw Exit.checkFailed
                }
            }
        }
    }

    struct Salvage: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Repair a journal that recovery refuses, so that the next start takes it over.",
            discussion: """
                Writes every valid record into a new journal of the same boot, keeps the original beside it as \
                BOOT.damaged, and says what was skipped. Does nothing while the boot's process lives, or when recovery \
                takes the journal as it is. What was skipped may be revenue: the holds that are concerned are settled \
                by the reaper's estimate, or not at all.
                """)
        @OptionGroup var directory: Directory
        @Argument(help: "The boot, as `journal list` shows it.") var boot: BootArgument

        func run() async throws {
            try await reportingJournals {
                let action = try JournalSalvage(root: directory.path)
                    .run(boot.id, nowMilliseconds: Clock.wallMilliseconds())
                switch action {
                case .unknown: throw unknown(boot.id, in: directory.path)
                case .lives:
                    complain("\(directory.path)/\(boot.id) is locked: its process lives, or another reads it")
                    throw Exit.checkFailed
                case .isWhole: print("\(directory.path)/\(boot.id) is whole: the next start takes it over")
                case .isRecovered: print("\(directory.path)/\(boot.id) was taken over before")
                case .salvaged(let salvaged):
                    for line in JournalText.findings(salvaged.original) { print(line) }
                    print(JournalText.summary(salvaged))
                }
            }
        }
    }
}

/// An id on the command line.
struct BootArgument: ExpressibleByArgument {
    var id: HoldID

    init?(argument: String) {
        guard let id = HoldID(text: argument) else { return nil }
        self.id = id
    }
}

extension JournalInspector {
    /// nil: it was deleted meanwhile, its time was over.
    func readIfThere(_ boot: BootID) throws -> InspectedJournal? {
        do throws(JournalFileFailure) { return try self.read(boot) } catch {
            guard error.code == ENOENT else { throw error }
            return nil
        }
    }
}

private func unknown(_ boot: BootID, in directory: String) -> ExitCode {
    complain("\(directory) has no journal of boot \(boot)")
    return Exit.usage
}

/// As `reporting`; a directory that cannot be read is a bad configuration.
private func reportingJournals(_ body: () async throws -> Void) async throws {
    try await reporting {
        do { try await body() } catch let error as JournalFileFailure {
            complain("\(error)")
            throw Exit.badConfiguration
        }
    }
}
