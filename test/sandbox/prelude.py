# Stands before every attacking program. `V` says where the victim is; `hit` prints the word that only success may print.
import ctypes, errno, json, os, signal, struct, sys, threading, time
V = json.loads(INSERTED)
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.prctl(15, V['tag'].encode(), 0, 0, 0)  # children inherit the name, by which the test finds them
TABLE = dict(pair.split('=') for pair in '''
fork=57,None vfork=58,None clone=56,220 clone3=435,435 execve=59,221 execveat=322,281 kill=62,129 tkill=200,130
tgkill=234,131 rt_sigqueueinfo=129,138 rt_tgsigqueueinfo=297,240 pidfd_send_signal=424,424 pidfd_open=434,434
pidfd_getfd=438,438 ptrace=101,117 process_vm_readv=310,270 process_vm_writev=311,271 process_madvise=440,440
process_mrelease=448,448 kcmp=312,272 unshare=272,97 setns=308,268 mount=165,40 umount2=166,39 pivot_root=155,41
chroot=161,51 open_tree=428,428 move_mount=429,429 fsopen=430,430 fsconfig=431,431 fsmount=432,432 fspick=433,433
mount_setattr=442,442 statmount=457,457 listmount=458,458 bpf=321,280 perf_event_open=298,241 userfaultfd=323,282
io_uring_setup=425,425 io_uring_enter=426,426 io_uring_register=427,427 keyctl=250,219 add_key=248,217
request_key=249,218 init_module=175,105 finit_module=313,273 delete_module=176,106 kexec_load=246,104
kexec_file_load=320,294 swapon=167,224 swapoff=168,225 reboot=169,142 syslog=103,116 acct=163,89 quotactl=179,60
quotactl_fd=443,443 open_by_handle_at=304,265 name_to_handle_at=303,264 fanotify_init=300,262 inotify_init1=294,26
inotify_init=253,None inotify_add_watch=254,27 personality=135,92 iopl=172,None ioperm=173,None modify_ldt=154,None
settimeofday=164,170 clock_settime=227,112 clock_adjtime=305,266 adjtimex=159,171 sethostname=170,161
setdomainname=171,162 setuid=105,146 setgid=106,144 setreuid=113,145 setresuid=117,147 setresgid=119,149
setgroups=116,159 setfsuid=122,151 capget=125,90 capset=126,91 seccomp=317,277 landlock_create_ruleset=444,444
landlock_add_rule=445,445 landlock_restrict_self=446,446 mknod=133,None mknodat=259,33 vhangup=153,58
memfd_create=319,279 memfd_secret=447,447 splice=275,76 tee=276,77 vmsplice=278,75 mlock=149,228 mlock2=325,284
mlockall=151,230 mbind=237,235 set_mempolicy=238,237 migrate_pages=256,238 move_pages=279,239 shmget=29,194
shmat=30,196 shmctl=31,195 msgget=68,186 msgctl=71,187 semget=64,190 semctl=66,191 semop=65,193 mq_open=240,180
mq_unlink=241,181 socket=41,198 socketpair=53,199 connect=42,203 bind=49,200 listen=50,201 sendto=44,206
setpriority=141,140 ioprio_set=251,30 ioprio_get=252,31 sched_setaffinity=203,122 sched_setscheduler=144,119
sched_setattr=314,274 sched_setparam=142,118 prlimit64=302,261 openat=257,56 openat2=437,437 chmod=90,None
fchmodat=268,53 fchmodat2=452,452 utimensat=280,88 futimesat=261,None utime=132,None utimes=235,None setxattr=188,5
setxattrat=463,463 removexattr=197,14 getxattr=191,8 chown=92,None fchownat=260,54 lchown=94,None truncate=76,45
prctl=157,167 getpid=39,172 gettid=186,178 exit=60,93 exit_group=231,94 set_robust_list=273,99 set_tid_address=218,96
timer_create=222,107 wait4=61,260 mincore=27,232 cachestat=451,451 lookup_dcookie=212,18 readlinkat=267,78
mseal=462,462 uselib=134,None ustat=136,None sysfs=139,None futex_waitv=449,449 pkey_alloc=330,289 fchdir=81,50
remap_file_pages=216,234 nfsservctl=180,42 renameat2=316,276 linkat=265,37 symlinkat=266,36 unlinkat=263,35
arch_prctl=158,None listxattr=194,11 rseq=334,293 membarrier=324,283 setsid=112,157 lsm_get_self_attr=459,459
lsm_set_self_attr=460,460 open_tree_attr=467,467 file_getattr=468,468 file_setattr=469,469 listns=470,470
'''.split())
ARM = os.uname().machine in ('aarch64', 'arm64')
NR = {name: int(both.split(',')[ARM]) for name, both in TABLE.items() if both.split(',')[ARM] != 'None'}


def sc(name, *args):
    """The system call by number: its result, or -errno."""
    ctypes.set_errno(0)
    wide = [ctypes.c_long(a) if isinstance(a, int) else a for a in args]
    result = libc.syscall(ctypes.c_long(NR[name] if isinstance(name, str) else name), *wide)
    return -ctypes.get_errno() if result == -1 else result


REFUSALS = (-errno.EPERM, -errno.EACCES, -errno.ENOSYS)


def hit(*what):
    print(V['word'], *what, flush=True)


def attempt(what, *args, **named):
    """Calls; an error of the system is the refusal that was wanted."""
    try:
        return what(*args, **named)
    except (OSError, ValueError, MemoryError) as error:
        print('refused:', type(error).__name__, getattr(error, 'errno', ''), flush=True)
        return None


def show(path, size=1 << 16):
    """Prints what a file says."""
    def go():
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        print(os.read(fd, size), flush=True)
        os.close(fd)
    attempt(go)


def pinned():
    """Whether signals to many would stay in a namespace, or are sent by a user made for this test."""
    return os.getpid() < 64 or V['made']
