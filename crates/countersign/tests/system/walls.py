"""Starts a program for which the kernel lacks a wall: walls.py namespaces|landlock|filter PROGRAM ARGUMENT..."""
import ctypes
import os
import platform
import struct
import sys

NUMBERS = {
    "x86_64": {"landlock": 444, "seccomp": 317, "prctl": 157, "clone": 56},
    "aarch64": {"landlock": 444, "seccomp": 277, "prctl": 167, "clone": 220},
}
LOAD, EQUAL, ANY, RETURN = 0x20, 0x15, 0x45, 0x06
ALLOW, MISSING, FORBIDDEN = 0x7FFF0000, 0x00050000 | 38, 0x00050000 | 1
CLONE_NEWUSER = 0x10000000
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, MODE_FILTER = 38, 22, 2

number = NUMBERS[platform.machine()]
step = lambda code, value, yes=0, no=0: struct.pack("HBBI", code, yes, no, value)
if sys.argv[1] == "namespaces":
    # As the profiles of container engines do.
    program = [
        step(LOAD, 0),
        step(EQUAL, number["clone"], 0, 2),
        step(LOAD, 16),
        step(ANY, CLONE_NEWUSER, 1, 0),
        step(RETURN, ALLOW),
        step(RETURN, FORBIDDEN),
    ]
elif sys.argv[1] == "landlock":
    program = [step(LOAD, 0), step(EQUAL, number["landlock"], 0, 1), step(RETURN, MISSING), step(RETURN, ALLOW)]
else:
    # Both ways to a filter: the call of its own, and the option of `prctl`.
    program = [
        step(LOAD, 0),
        step(EQUAL, number["seccomp"], 3, 0),
        step(EQUAL, number["prctl"], 0, 3),
        step(LOAD, 16),
        step(EQUAL, PR_SET_SECCOMP, 0, 1),
        step(RETURN, MISSING),
        step(RETURN, ALLOW),
    ]
code = b"".join(program)
buffer = ctypes.create_string_buffer(code, len(code))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
filters = struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer))
assert libc.prctl(PR_SET_SECCOMP, MODE_FILTER, filters, 0, 0) == 0, os.strerror(ctypes.get_errno())
os.execv(sys.argv[2], sys.argv[2:])
