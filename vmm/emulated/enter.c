// SPDX-License-Identifier: GPL-2.0-only
/* Decides where machines can run: in this process, or in the same command inside an emulated host.
 */
#include "emulated.h"

#include <errno.h>
#include <ktstr/vm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Runs this program with @args once more, inside; returns its exit status, or -errno. */
static int run_inside(char **args, struct ktstr_error *error)
{
	static char command[] = "emulated-host", run[] = "run", end[] = "--";
	char self[4096];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	size_t n = 0;
	char **all;
	int status;

	if (length < 0)
		return ktstr_error__set(error, errno, "readlink", "/proc/self/exe", NULL);
	self[length] = '\0';
	while (args[n])
		n++;
	all = calloc(n + 5, sizeof(*all));
	if (!all)
		return ktstr_error__set(error, ENOMEM, "start", "emulated KVM host", NULL);
	all[0] = command;
	all[1] = run;
	all[2] = end;
	all[3] = self;
	for (size_t i = 0; i < n; i++)
		all[4 + i] = args[i];
	status = emulated_host__main((int)n + 4, all);
	free(all);
	return status;
}

int emulated_host__enter(char **args, bool allowed, int *status, struct ktstr_error *error)
{
	bool inside = getenv(EMULATED_INSIDE_ENV);
	struct ktstr_probe probe;
	int ret;

	ktstr_probe__run(&probe);
	if (probe.kind == KTSTR_KVM_NATIVE)
		return 0;
	if (inside || !allowed) {
		ktstr_error__set(error, ENODEV, NULL, "/dev/kvm", "%s", probe.detail);
		ktstr_error__hint(error, inside ? "this is an emulated KVM host already: restart it"
						: "the emulated KVM host is switched off "
						  "(--no-emulated-host or KTSTR_NO_EMULATED_HOST)");
		return -ENODEV;
	}
	/* Rights are soon given; twentyfold time is for who asked for it. */
	if (probe.kind == KTSTR_KVM_ABSENT && !access("/dev/kvm", F_OK) &&
	    access("/dev/kvm", R_OK | W_OK) && !getenv(EMULATED_DIR_ENV)) {
		ktstr_error__set(error, EACCES, NULL, "/dev/kvm", "%s", probe.detail);
		ktstr_error__hint(error, "or use `ktstr emulated-host`");
		return -EACCES;
	}
	fprintf(stderr, "ktstr: /dev/kvm: %s; using the emulated KVM host, expect 20x slower\n",
		probe.detail);
	ret = run_inside(args, error);
	if (ret < 0)
		return ret;
	*status = ret;
	return 1;
}
