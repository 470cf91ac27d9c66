#ifndef TOLLGATE_CHIREDIS_SHIM_H
#define TOLLGATE_CHIREDIS_SHIM_H

/* hiredis.h includes its reader, the only part that is used: NIO owns the socket. */
#include <hiredis/hiredis.h>

#endif
