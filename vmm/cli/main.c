// SPDX-License-Identifier: GPL-2.0-only
/* The ktstr command; so far it only starts emulated KVM hosts. */
#include "../emulated/emulated.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "emulated-host"))
		return emulated_host__main(argc - 1, argv + 1);
	fprintf(stderr, "usage: ktstr emulated-host ...\n");
	return 2;
}
