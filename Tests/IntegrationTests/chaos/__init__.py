"""Crash tests on real processes: proxies, Redis, Postgres and an upstream, with faults between and in all of them.

`relay` breaks connections, `stores` and `cluster` own the processes, `load` is the clients and what they saw,
`scenarios` has one function per fault, `checker` compares what the clients saw with the ledger, `runner` runs it all,
`report` prints.
Nothing of Tollgate's code is imported. `make chaos` runs the long form, test_chaos.py the short one.
"""
