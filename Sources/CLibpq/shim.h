#ifndef TOLLGATE_CLIBPQ_SHIM_H
#define TOLLGATE_CLIBPQ_SHIM_H

#include <libpq-fe.h>

/* Server notices would go to standard error; nobody reads them there. */
static inline void clibpq_drop_notice(void *context, const char *message) {
    (void)context;
    (void)message;
}

static inline void clibpq_drop_notices(PGconn *connection) {
    PQsetNoticeProcessor(connection, clibpq_drop_notice, NULL);
}

/* PG_DIAG_* are character macros, which Swift does not import as Int32. */
static inline const char *clibpq_sqlstate(const PGresult *result) {
    return PQresultErrorField(result, PG_DIAG_SQLSTATE);
}

static inline const char *clibpq_primary_message(const PGresult *result) {
    return PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
}

static inline const char *clibpq_constraint_name(const PGresult *result) {
    return PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
}

#endif
