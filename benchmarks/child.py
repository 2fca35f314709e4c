"""Start a command and say what it took. A small process of its own, for the peak memory that the
system reports of a command begins with that of the process that started it."""

import json
import os
import sys
import time

out = os.dup(1)
start = time.perf_counter()
process = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(process, 0)
taken = [time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024]
os.write(out, b"\n" + json.dumps([os.waitstatus_to_exitcode(status), *taken]).encode())
