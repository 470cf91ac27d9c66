/// Whose work this is, for what is logged below the routes: by desks and stores that know nothing of requests.
public enum RequestScope {
    /// What the reply calls `x-tollgate-request-id`; nil outside of a request.
    @TaskLocal public static var id: String?
}
