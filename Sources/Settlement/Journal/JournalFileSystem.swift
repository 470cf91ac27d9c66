import Glibc

/// On what a journal lies. The locks and syncs of a network file system are those of another machine, or of nobody:
/// two hosts could take one journal over.
public enum JournalFileSystem {
    private static let network: Set<Substring> = [
        "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "coda", "lustre", "ncpfs", "glusterfs",
        "beegfs", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs", "fuse.rclone",
    ]

    static func isNetwork(_ kind: String) -> Bool { self.network.contains(kind[...]) }

    /// By the device of the path, as the kernel's table of mounts has it; nil: not there.
    @Sendable public static func kind(at path: String) -> String? {
        var status = stat()
        guard stat(path, &status) == 0, let mounts = self.readMounts() else { return nil }
        return self.kind(of: self.device(status.st_dev), in: mounts)
    }

    /// - Parameter mounts: as in /proc/self/mountinfo: `36 35 98:0 /root /mount options fields… - kind source …`
    static func kind(of device: String, in mounts: String) -> String? {
        for line in mounts.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 2, fields[2] == device, let end = fields.firstIndex(of: "-"),
                end + 1 < fields.count
            else { continue }
            return String(fields[end + 1])
        }
        return nil
    }

    private static func device(_ number: dev_t) -> String {
        let number = UInt64(number)
        let major = (number >> 8) & 0xfff | (number >> 32) & ~0xfff
        let minor = number & 0xff | (number >> 12) & ~0xff & 0xffff_ffff
        return "\(major):\(minor)"
    }

    private static func readMounts() -> String? {
        guard let file = try? JournalDescriptor.open("/proc/self/mountinfo", O_RDONLY) else { return nil }
        var text: [UInt8] = []
        var page = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = read(file.number, &page, page.count)
            guard count > 0 else { return String(decoding: text, as: UTF8.self) }
            text += page[..<count]
        }
    }
}
