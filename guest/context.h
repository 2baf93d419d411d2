/* SPDX-License-Identifier: GPL-2.0-only */
/* Registers of a program that a signal interrupted: guest/arch. Async-signal-safe. */
#ifndef KTSTR_GUEST_CONTEXT_H
#define KTSTR_GUEST_CONTEXT_H

#include <stdint.h>
#include <ucontext.h>

/* The instruction that it was at. */
uintptr_t context__pc(const ucontext_t *context);

/*
 * Where it goes on after a call that has just been made: right when not one instruction of what was
 * called ran. May read its stack.
 */
uintptr_t context__return_address(const ucontext_t *context);

#endif /* KTSTR_GUEST_CONTEXT_H */
