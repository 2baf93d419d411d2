// SPDX-License-Identifier: GPL-2.0-only
/* arm64: a call leaves where it comes from in the link register. */
#include "../../context.h"

#define LINK_REGISTER 30

uintptr_t context__pc(const ucontext_t *context)
{
	return (uintptr_t)context->uc_mcontext.pc;
}

uintptr_t context__return_address(const ucontext_t *context)
{
	return (uintptr_t)context->uc_mcontext.regs[LINK_REGISTER];
}
