import HTTPTypes

extension StaffDesk.SignedIn {
    /// What the browser is to keep.
    func cookies(isSecure: Bool) -> HTTPFields {
        var fields = HTTPFields()
        fields.append(
            SessionCookie.staff.setting(
                self.token.text, maxAgeSeconds: Self.sessionSeconds, isSecure: isSecure))
        fields.append(
            SessionCookie.known.setting(self.known, maxAgeSeconds: Self.knownSeconds, isSecure: isSecure))
        return fields
    }

    private static let sessionSeconds = 12 * 3600
    private static let knownSeconds = 180 * 24 * 3600
}
