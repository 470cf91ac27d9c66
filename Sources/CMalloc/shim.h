#ifndef TOLLGATE_CMALLOC_SHIM_H
#define TOLLGATE_CMALLOC_SHIM_H

/* Swift's module of the C library is without it. */
#include <malloc.h>

#endif
