// SPDX-License-Identifier: GPL-2.0-only
/* x86-64: a call pushes where it comes from. */
#include "../../context.h"

uintptr_t context__pc(const ucontext_t *context)
{
	return (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
}

uintptr_t context__return_address(const ucontext_t *context)
{
	return *(const uintptr_t *)context->uc_mcontext.gregs[REG_RSP];
}
