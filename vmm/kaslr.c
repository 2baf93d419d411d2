// SPDX-License-Identifier: GPL-2.0-only
/* Names of where a kernel lies. */
#include <ktstr/vm.h>

static const struct {
	const char *name, *text;
} states[] = {
	[KTSTR_KASLR_UNKNOWN] = {"UNKNOWN", "not known"},
	[KTSTR_KASLR_ON] = {"ON", "on: the kernel lies at a random virtual address"},
	[KTSTR_KASLR_ASKED_OFF] = {"ASKED_OFF", "off, as nokaslr asks"},
	[KTSTR_KASLR_NO_RELOCATIONS] =
		{"NO_RELOCATIONS", "off: the image has no list of relocations to move it by (a "
				   "vmlinux has none)"},
	[KTSTR_KASLR_GUEST] = {"GUEST", "left to the kernel's own start-up code"},
};

static enum ktstr_kaslr known(enum ktstr_kaslr kaslr)
{
	return (size_t)kaslr < sizeof(states) / sizeof(states[0]) ? kaslr : KTSTR_KASLR_UNKNOWN;
}

const char *ktstr_kaslr__name(enum ktstr_kaslr kaslr)
{
	return states[known(kaslr)].name;
}

const char *ktstr_kaslr__text(enum ktstr_kaslr kaslr)
{
	return states[known(kaslr)].text;
}
