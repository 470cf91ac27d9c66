// Room: how much there is, what it is promised to, and how a record finds its place.
extension Journal {
    // MARK: Spares

    /// The owner should prepare a segment with the id `nextSpareID`, outside its lock, and then call
    /// `add(spare:)` or `spareFailed`.
    public var wantsSpare: Bool {
        if self.spares.isEmpty { return true }
        // One whole segment beyond all promises: admission does not wait for the disk, nor does a sync error.
        let segment = self.spares[0].capacity
        return self.usableBytes < self.reservedBytes + self.limits.reserveBytes + segment
    }

    /// Whether outcomes of an ended boot may be copied here: not from the last segment beyond all promises, which is for
    /// admission. When this is false, `wantsSpare` is true.
    public var hasRoomForTakeOver: Bool { !self.wantsSpare }

    public var nextSpareID: UInt64 { self.nextSegmentID + UInt64(self.spares.count) }

    public mutating func add(spare: Segment) {
        precondition(spare.id == self.nextSpareID, "one spare is prepared at a time")
        precondition(
            spare.capacity >= JournalFormat.segmentBytesMin && spare.capacity % 8 == 0,
            "the configuration bounds the size of segments")
        self.spares.append(spare)
        self.spareUsableBytes += Self.usable(spare.capacity - JournalFormat.segmentHeaderBytes)
        self.isSpareMissing = false
        self.rewriteFailed()
    }

    /// The disk is full or broken: try again in a while. Admission ends when the prepared bytes do.
    public mutating func spareFailed() { self.isSpareMissing = true }

    /// Nothing will be written any more: gives up the spares, which hold nothing. Returns their ids, to be deleted.
    public mutating func removeSpares() -> [UInt64] {
        defer {
            self.spares = []
            self.spareUsableBytes = 0
        }
        return self.spares.map(\.id)
    }

    // MARK: Figures

    /// Bytes that records can surely take, wherever they come to lie: the end of a segment may be too short for
    /// the next record, so up to the longest record less 8 is not counted.
    public var usableBytes: Int {
        self.spareUsableBytes + Self.usable(self.currentFreeBytes)
    }

    /// At the end of the current segment; 0 when nothing may be written there.
    private var currentFreeBytes: Int {
        let last = self.segments.count - 1
        guard last >= 0, self.segments[last].state == .good else { return 0 }
        return self.segments[last].freeBytes
    }

    private static func usable(_ free: Int) -> Int { max(0, free - (JournalFormat.recordBytesMax - 8)) }

    /// Bytes promised to running exchanges.
    public var reservedBytes: Int {
        self.unopened * JournalFormat.exchangeBytes + self.openCount * JournalFormat.recordBytesMax
    }

    /// Bytes on disk, spares included.
    public var totalBytes: Int {
        self.segments.reduce(0) { $0 + $1.capacity } + self.spares.reduce(0) { $0 + $1.capacity }
    }

    /// Segments on disk, spares included.
    public var segmentCount: Int { self.segments.count + self.spares.count }

    /// Whether `bytes` fit beside all promises and `kept` bytes more.
    func hasRoom(for bytes: Int, keeping kept: Int) -> Bool {
        self.usableBytes >= bytes + self.reservedBytes + kept || self.fitsInWaste(bytes)
    }

    /// Room at the end of the current segment that no promise counts on.
    private func fitsInWaste(_ bytes: Int) -> Bool {
        let free = self.currentFreeBytes
        return free <= JournalFormat.recordBytesMax - 8 && bytes <= free
    }

    // MARK: Writing

    /// Puts a record behind the last one, in the next spare when it does not fit; nil when there is none.
    mutating func append(_ head: JournalRecordHead, _ text: [UInt8]) -> JournalRecord? {
        text.withUnsafeBytes { self.append(head, $0) }
    }

    mutating func append(_ head: JournalRecordHead, _ text: UnsafeRawBufferPointer) -> JournalRecord? {
        let bytes = JournalFormat.padded(head.byteCount + text.count)
        if self.currentFreeBytes < bytes {
            guard !self.spares.isEmpty else { return nil }
            self.rotate()
        }
        let last = self.segments.count - 1
        let (offset, seed, sequence) = (self.segments[last].used, self.segments[last].seed, self.nextSequence)
        let record = JournalRecord.write(
            head, text: text, sequence: sequence, to: &self.files[last], at: offset, seed: seed)
        self.segments[last].used += bytes
        self.segments[last].lastSequence = sequence
        self.nextSequence += 1
        return record
    }

    /// Leaves the current segment for good.
    private mutating func rotate() {
        if !self.segments.isEmpty { self.segments[self.segments.count - 1].outcomes.releaseIfEmpty() }
        var next = self.spares.removeFirst()
        precondition(next.id == self.nextSegmentID, "spares are used in the order of their ids")
        self.spareUsableBytes -= Self.usable(next.capacity - JournalFormat.segmentHeaderBytes)
        let header = SegmentHeader(
            boot: self.boot, segment: next.id, firstSequence: self.nextSequence,
            createdAtMilliseconds: self.now, watermark: self.watermark)
        header.withBytes { next.write($0, at: 0) }
        self.nextSegmentID += 1
        self.watermarkWritten = self.watermark
        self.segments.append(
            HeldSegment(
                id: next.id, capacity: next.capacity,
                seed: SegmentHeader.seed(boot: self.boot, segment: next.id),
                firstSequence: self.nextSequence, begunAtMilliseconds: self.steadyNow))
        self.files.append(next)
    }
}
