/*
 * pause is the first process of a pod: it holds the pod's namespaces, reaps the orphans of a shared PID namespace, and
 * ends on SIGTERM or SIGINT. There is one per pod, so it links no library: a few system calls and a page or two of
 * memory.
 *
 *	pause                              wait
 *	pause ROOT HOSTNAME UID GID        first shut itself in, being in new namespaces already: take ROOT as the root,
 *	                                   set HOSTNAME (unless empty), give up every privilege; then execute /pause anew
 *
 * The second form is how the shim starts it without runc. What goes wrong comes out of descriptor 3 as one byte, the
 * number of the step; the descriptor closes without a byte when all went well.
 */
#include <linux/fcntl.h>
#include <linux/mount.h>
#include <linux/prctl.h>
#include <linux/signal.h>
#include <linux/wait.h>
#include <sys/syscall.h>

#define MNT_DETACH 2

static long call5(long number, long a, long b, long c, long d, long e)
{
	long result;
#if defined(__x86_64__)
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	__asm__ volatile("syscall" : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
	result = x0;
#else
#error "pause knows amd64 and arm64"
#endif
	return result;
}

#define call(number, a, b, c, d) call5(number, (long)(a), (long)(b), (long)(c), (long)(d), 0)

/*
 * Signals are taken from the queue one by one: as no handler exists, nothing can be interrupted. They are blocked first of
 * all, and stay so when /pause is executed anew: the kernel drops what the first process of a PID namespace neither
 * handles nor blocks.
 */
static const unsigned long set = 1UL << (SIGINT - 1) | 1UL << (SIGTERM - 1) | 1UL << (SIGCHLD - 1);

__attribute__((noreturn)) static void wait_forever(void)
{
	for (;;) {
		long got = call(SYS_rt_sigtimedwait, &set, 0, 0, sizeof set);
		if (got == SIGINT || got == SIGTERM)
			call(SYS_exit_group, 0, 0, 0, 0);
		while (call(SYS_wait4, -1, 0, WNOHANG, 0) > 0)
			;
	}
}

static long number(const char *text)
{
	long value = 0;
	while (*text)
		value = value * 10 + *text++ - '0';
	return value;
}

static long length(const char *text)
{
	long n = 0;
	while (text[n])
		n++;
	return n;
}

#define must(step) do { at++; if ((step) < 0) goto failed; } while (0)

__attribute__((noreturn)) static void shut_in(char **args)
{
	const char *root = args[1], *hostname = args[2];
	long uid = number(args[3]), gid = number(args[4]);
	char *anew[] = {"/pause", 0};
	char at = 0;

	must(call(SYS_fcntl, 3, F_SETFD, FD_CLOEXEC, 0));
	must(call5(SYS_mount, 0, (long)"/", 0, MS_REC | MS_PRIVATE, 0));
	must(call5(SYS_mount, (long)root, (long)root, 0, MS_BIND | MS_REC, 0));
	must(call(SYS_chdir, root, 0, 0, 0));
	must(call(SYS_pivot_root, ".", ".", 0, 0));
	must(call(SYS_umount2, ".", MNT_DETACH, 0, 0));
	must(call(SYS_chdir, "/", 0, 0, 0));
	must(*hostname ? call(SYS_sethostname, hostname, length(hostname), 0, 0) : 0);
	must(call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0));
	must(call(SYS_setgroups, 0, 0, 0, 0));
	must(call(SYS_setresgid, gid, gid, gid, 0));
	must(call(SYS_setresuid, uid, uid, uid, 0));
	must(call(SYS_execve, anew[0], anew, anew + 1, 0));
failed:
	call(SYS_write, 3, &at, 1, 0);
	call(SYS_exit_group, 1, 0, 0, 0);
	__builtin_unreachable();
}

__attribute__((noreturn, used)) static void start(long *stack)
{
	call(SYS_rt_sigprocmask, SIG_BLOCK, &set, 0, sizeof set);
	if (*stack == 5)
		shut_in((char **)(stack + 1));
	wait_forever();
}

/* The kernel enters with the number of arguments, and then the arguments, on the stack. */
__asm__(".globl _start\n_start:\n"
#if defined(__x86_64__)
	"xor %ebp, %ebp\nmov %rsp, %rdi\nand $-16, %rsp\ncall start\n"
#else
	"mov x0, sp\nbl start\n"
#endif
);
