// SPDX-License-Identifier: GPL-2.0-only
/* The agent as a program of its own, PID 1 of an emulated host of another architecture. */
#include "../emulated.h"

int main(void)
{
	emulated_agent__run();
}
