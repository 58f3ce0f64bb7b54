/*
 * pause is the first process of a pod: it holds the pod's namespaces, reaps the orphans of a shared PID namespace, and
 * ends on SIGTERM or SIGINT. There is one per pod, so it links no library: four system calls and a page or two of
 * memory.
 */
#include <linux/signal.h>
#include <linux/wait.h>
#include <sys/syscall.h>

static long call(long number, long a, long b, long c, long d)
{
	long result;
#if defined(__x86_64__)
	register long r10 __asm__("r10") = d;
	__asm__ volatile("syscall" : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
	result = x0;
#else
#error "pause knows amd64 and arm64"
#endif
	return result;
}

__attribute__((noreturn, used)) void _start(void)
{
	/* Signals are taken from the queue one by one: as no handler exists, nothing can be interrupted or lost. */
	unsigned long set = 1UL << (SIGINT - 1) | 1UL << (SIGTERM - 1) | 1UL << (SIGCHLD - 1);
	call(SYS_rt_sigprocmask, SIG_BLOCK, (long)&set, 0, sizeof set);
	for (;;) {
		long got = call(SYS_rt_sigtimedwait, (long)&set, 0, 0, sizeof set);
		if (got == SIGINT || got == SIGTERM)
			call(SYS_exit_group, 0, 0, 0, 0);
		while (call(SYS_wait4, -1, 0, WNOHANG, 0) > 0)
			;
	}
}
