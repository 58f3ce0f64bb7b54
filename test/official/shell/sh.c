// The sh of the busybox image that the suite runs. Debian's busybox drops variables such as data-1 from the environment, which the
// published image's keeps: where there are any, bash takes its place. Everywhere else it is busybox, whose words the suite knows.
#include <unistd.h>

static int plain(const char *variable) {
	for (; *variable && *variable != '='; variable++) {
		char c = *variable | 0x20;
		if ((c < 'a' || c > 'z') && (*variable < '0' || *variable > '9') && *variable != '_')
			return 0;
	}
	return 1;
}

int main(int argc, char **argv, char **environment) {
	for (char **v = environment; *v; v++)
		if (!plain(*v)) {
			execve("/bin/bash-static", argv, environment);
			return 127;
		}
	execve("/bin/busybox", argv, environment);
	return 127;
}
