// Helper "pool": delete this file when UpstreamPool has this method.
extension UpstreamPool {
    func lease(_ borrower: any UpstreamBorrower, fresh: Bool) { self.lease(borrower) }
}
