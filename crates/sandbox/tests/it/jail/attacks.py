# The attacks. Each starts with its name and flags, and prints ESCAPED when it got what it wanted.
# Flags: root = works unguarded for root alone; unsafe = never run unguarded; mapped = only namespaces stop it;
# listed = only Landlock stops it.
# Given as arguments: a scratch folder, a secret file, a TCP port, a Unix socket, a process outside, a folder shown read-only.

# ATTACK keyring-session:
escaped(call(250, 0, -3, 1)[0] >= 0)
# ATTACK keyring-add:
escaped(call(248, b"user", b"attack", b"x", 1, -2)[0] >= 0)
# ATTACK ptrace-traceme:
escaped(call(101, 0, 0, 0, 0)[0] == 0)
# ATTACK ptrace-seize-outside:
escaped(call(101, 0x4206, OUTSIDE, 0, 0)[0] == 0)
# ATTACK io-uring:
escaped(call(425, 8, buffer(120))[0] >= 0)
# ATTACK unshare-user:
escaped(call(272, 0x10000000)[0] == 0)
# ATTACK unshare-mount: root
escaped(call(272, 0x00020000)[0] == 0)
# ATTACK clone-user-namespace:
r, e = call(56, 0x10000000 | 17, 0, 0, 0, 0)
if r == 0: os._exit(0)
escaped(r > 0)
# ATTACK clone3:
args = buffer(64); args[0:8] = struct.pack("<Q", 0x10000000); args[32:40] = struct.pack("<Q", 17)
r, e = call(435, args, 64)
if r == 0: os._exit(0)
escaped(r > 0)
# ATTACK fork:
pid = os.fork()
if pid == 0: os._exit(0)
escaped(True)
# ATTACK vfork-spawn:
escaped(os.posix_spawn("/usr/bin/true", ["true"], {}) > 0)
# ATTACK setns: root
escaped(call(308, os.open("/proc/self/ns/net", os.O_RDONLY), 0)[0] == 0)
# ATTACK memfd:
escaped(os.memfd_create("x") >= 0)
# ATTACK execveat-memfd:
fd = os.memfd_create("x", 0); os.write(fd, open("/usr/bin/true", "rb").read())
r, e = call(56, 17, 0, 0, 0, 0)
if r == 0: os.execve(fd, ["true"], {})
escaped(os.waitpid(r, 0)[1] == 0)
# ATTACK personality:
escaped(call(135, 0x0040000)[0] >= 0)
# ATTACK bpf: root
attr = buffer(48); attr[0:16] = struct.pack("<IIII", 2, 4, 4, 1)
escaped(call(321, 0, attr, 48)[0] >= 0)
# ATTACK perf-event: root
attr = buffer(112); attr[0:16] = struct.pack("<IIQ", 1, 112, 0)
escaped(call(298, attr, 0, -1, -1, 0)[0] >= 0)
# ATTACK userfaultfd: root
escaped(call(323, 0)[0] >= 0)
# ATTACK memory-of-another-process:
local = buffer(8)
remote = int(open(f"/proc/{OUTSIDE}/maps").readline().split("-")[0], 16)
one, two = struct.pack("<QQ", ctypes.addressof(local), 8), struct.pack("<QQ", remote, 8)
escaped(call(310, OUTSIDE, buffer(one), 1, buffer(two), 1, 0)[0] == 8)
# ATTACK memory-of-another-process-blindly: unsafe
escaped(call(310, 1, buffer(16), 1, buffer(16), 1, 0)[1] != errno.EPERM)
# ATTACK pidfd-of-another-process:
escaped(call(434, OUTSIDE, 0)[0] >= 0)
# ATTACK kcmp:
escaped(call(312, os.getpid(), OUTSIDE, 2, 0, 0)[0] >= 0)
# ATTACK signal-outside:
os.kill(OUTSIDE, 0); escaped(True)
# ATTACK signal-everybody: unsafe
try: os.kill(-1, 0)
except PermissionError: sys.exit()
except ProcessLookupError: sys.exit()
escaped(True)
# ATTACK mount: root
at = os.path.join(SCRATCH, "m"); os.mkdir(at)
ok = call(165, b"none", at.encode(), b"tmpfs", 0, 0)[0] == 0
if ok: call(166, at.encode(), 0)
escaped(ok)
# ATTACK new-mount-interface: root
escaped(call(430, b"tmpfs", 0)[0] >= 0)
# ATTACK open-tree: root
escaped(call(428, -100, b"/", 1 | 0x80000)[0] >= 0)
# ATTACK unmount-proc: unsafe
escaped(call(166, b"/proc", 2)[0] == 0)
# ATTACK remount-root-writable: unsafe
escaped(call(165, b"none", b"/", b"", 0x1000 | 32, 0)[0] == 0)
# ATTACK pivot-root: unsafe
escaped(call(155, b".", b".")[0] == 0)
# ATTACK chroot: root
os.chroot("/"); escaped(True)
# ATTACK block-device: root
os.mknod(os.path.join(SCRATCH, "disk"), 0o60600, os.makedev(7, 0)); escaped(True)
# ATTACK fifo:
os.mkfifo(os.path.join(SCRATCH, "fifo")); escaped(True)
# ATTACK set-host-name: root
escaped(call(170, os.uname().nodename.encode(), len(os.uname().nodename))[0] == 0)
# ATTACK become-root: root
os.setresuid(0, 0, 0); escaped(True)
# ATTACK become-another-group: root
os.setgroups([0]); escaped(True)
# ATTACK give-a-file-to-root: root
open(os.path.join(SCRATCH, "f"), "w").close(); os.chown(os.path.join(SCRATCH, "f"), 0, 0); escaped(True)
# ATTACK ambient-capability: unsafe
escaped(call(157, 47, 2, 21, 0, 0)[0] == 0)
# ATTACK extended-attribute:
open(os.path.join(SCRATCH, "f"), "w").close(); os.setxattr(os.path.join(SCRATCH, "f"), "user.x", b"y"); escaped(True)
# ATTACK file-handle: root
handle = buffer(136); handle[0:4] = struct.pack("<I", 128); mount = ctypes.c_int()
escaped(call(303, -100, SECRET.encode(), handle, ctypes.byref(mount), 0)[0] == 0 and call(304, os.open("/", os.O_RDONLY), handle, 0)[0] >= 0)
# ATTACK tcp-connect:
socket.create_connection(("127.0.0.1", PORT), 2); escaped(True)
# ATTACK tcp-listen:
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(); escaped(True)
# ATTACK udp-send:
escaped(socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", PORT)) == 1)
# ATTACK tcp6-socket:
socket.socket(socket.AF_INET6); escaped(True)
# ATTACK unix-connect:
s = socket.socket(socket.AF_UNIX); s.connect(UNIX); escaped(True)
# ATTACK unix-abstract:
s = socket.socket(socket.AF_UNIX); s.bind("\0attack" + str(os.getpid())); escaped(True)
# ATTACK netlink:
socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0); escaped(True)
# ATTACK raw-packets: root
socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0); escaped(True)
# ATTACK socket-pair:
socket.socketpair(); escaped(True)
# ATTACK read-secret:
escaped(open(SECRET).read())
# ATTACK read-secret-by-link:
link = os.path.join(SCRATCH, "link"); os.symlink(SECRET, link); escaped(open(link).read())
# ATTACK read-secret-by-hard-link:
link = os.path.join(SCRATCH, "hard"); os.link(SECRET, link); escaped(open(link).read())
# ATTACK read-secret-by-dots:
escaped(open("../" * 30 + SECRET[1:]).read())
# ATTACK read-secret-behind-the-root:
escaped(open("/.." + SECRET).read())
# ATTACK write-to-the-root: root
open("/attack", "w").write("x"); os.remove("/attack"); escaped(True)
# ATTACK write-to-devices: root
open("/dev/attack", "w").write("x"); os.remove("/dev/attack"); escaped(True)
# ATTACK read-secret-by-proc-root:
escaped(open(f"/proc/{OUTSIDE}/root" + SECRET).read())
# ATTACK read-secret-by-own-proc-root:
escaped(open("/proc/self/root" + SECRET).read())
# ATTACK read-secret-by-cwd-of-init:
escaped(open(f"/proc/{os.getppid()}/cwd/../../../../../../../../../.." + SECRET).read())
# ATTACK list-secret-folder:
escaped("secret" in os.listdir(os.path.dirname(SECRET)))
# ATTACK see-secret: mapped
os.stat(SECRET); escaped(True)
# ATTACK read-environment-of-another-process:
escaped(open(f"/proc/{OUTSIDE}/environ", "rb").read())
# ATTACK list-processes: mapped
escaped(str(OUTSIDE) in os.listdir("/proc"))
# ATTACK inherit-environment:
escaped("ATTACK_SECRET" in os.environ)
# ATTACK inherit-descriptor:
for fd in range(3, 200):
    try: escaped("secret" in os.readlink(f"/proc/self/fd/{fd}"))
    except OSError: pass
    try: escaped(os.pread(fd, 6, 0) == b"secret")
    except OSError: pass
# ATTACK write-outside:
open(SECRET + ".new", "w").write("x"); escaped(True)
# ATTACK write-read-only:
open(os.path.join(SHOWN, "new"), "w").write("x"); escaped(True)
# ATTACK change-read-only:
open(os.path.join(SHOWN, "mine"), "a").write("x"); escaped(True)
# ATTACK truncate-read-only:
os.truncate(os.path.join(SHOWN, "mine"), 0); escaped(True)
# ATTACK remove-read-only:
os.rename(os.path.join(SHOWN, "mine"), os.path.join(SHOWN, "gone")); os.rename(os.path.join(SHOWN, "gone"), os.path.join(SHOWN, "mine")); escaped(True)
# ATTACK chmod-read-only:
os.chmod(os.path.join(SHOWN, "mine"), 0o777); escaped(True)
# ATTACK touch-read-only:
os.utime(os.path.join(SHOWN, "mine"), (0, 0)); escaped(True)
# ATTACK execute-own-file:
own = os.path.join(SCRATCH, "own"); open(own, "wb").write(open("/usr/bin/true", "rb").read()); os.chmod(own, 0o700)
sys.stdout.flush(); os.execv(own, [own, "ESCAPED"])
# ATTACK execute-unlisted-program: listed
sys.stdout.flush(); os.execv("/usr/bin/echo", ["echo", "ESCAPED"])
# ATTACK kernel-log: root
escaped(call(103, 3, buffer(4096), 4096)[0] >= 0)
# ATTACK kernel-memory: root
open("/dev/kmsg", "rb", buffering=0); escaped(True)
# ATTACK kernel-settings:
os.open("/proc/sys/kernel/hostname", os.O_RDONLY); escaped(True)
# ATTACK control-groups: root
os.open("/sys/fs/cgroup", os.O_RDONLY); escaped(True)
# ATTACK terminal:
os.openpty(); escaped(True)
# ATTACK shared-memory:
r, e = call(29, 0, 4096, 0o600)
if r >= 0: call(31, r, 0, 0)
escaped(r >= 0)
# ATTACK message-queue:
r, e = call(68, 0, 0o600)
if r >= 0: call(71, r, 0, 0)
escaped(r >= 0)
# ATTACK posix-message-queue:
r, e = call(240, b"attack", 0o102, 0o600, 0)
if r >= 0: call(241, b"attack")
escaped(r >= 0)
# ATTACK watch-files:
escaped(call(294, 0)[0] >= 0)
# ATTACK watch-all-files: root
escaped(call(300, 0, 0)[0] >= 0)
# ATTACK higher-priority: root
os.setpriority(os.PRIO_PROCESS, 0, -5); escaped(True)
# ATTACK load-module: unsafe
escaped(call(313, -1, b"", 0)[1] != errno.EPERM)
# ATTACK kexec: unsafe
escaped(call(246, 0, 0, 0, 0)[1] != errno.EPERM)
# ATTACK reboot: unsafe
escaped(call(169, 0, 0, 0, 0)[1] != errno.EPERM)
# ATTACK swap: unsafe
escaped(call(167, 0, 0)[1] != errno.EPERM)
# ATTACK set-clock: unsafe
escaped(call(164, 0, 0)[1] != errno.EPERM)
# ATTACK io-port: unsafe
escaped(call(172, 3)[1] != errno.EPERM)
# ATTACK own-filter-with-a-notifier: unsafe
escaped(call(317, 1, 8, 0)[1] != errno.EPERM)
# ATTACK limits-of-another-process:
escaped(call(302, OUTSIDE, 7, 0, buffer(16))[0] == 0)
# ATTACK x32-calls: unsafe
escaped(call(0x40000000 | 41, 2, 1, 0)[0] >= 0)
# ATTACK calls-of-32-bit:
code = bytes.fromhex("53 b8 14 00 00 00 cd 80 5b c3")  # getpid of another instruction set
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC); page.write(code)
escaped(ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))() == os.getpid())
