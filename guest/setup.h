/* SPDX-License-Identifier: GPL-2.0-only */
/* Makes a bare initramfs a place where programs run: mounts, modules, devices, limits. */
#ifndef KTSTR_GUEST_SETUP_H
#define KTSTR_GUEST_SETUP_H

#include <stdbool.h>
#include <stdint.h>

/* Mounts /dev and puts COM2 (/dev/ttyS1, raw) on 0, 1 and 2; /dev/console when there is none. */
void setup__console(void);
/* Everything else is mounted. What fails is logged; -errno when /proc or /sys is not there. */
int setup__mounts(void);
void setup__limits_and_network(const char *hostname);
/* The caller runs before every task that is not real-time; what it forks does not. */
void setup__priority(void);
/* From here on the kernel's warnings come to the console, too. */
void setup__console_level(void);
/* NETLINK_KOBJECT_UEVENT, non-blocking; -errno. */
int setup__uevent_socket(void);
/* Loads the modules that the list @path names, in order; one that fails is logged. */
void setup__modules(const char *path);

/*
 * Opens the virtio-console port called @name for blocking writes once the host has it open too;
 * waits on @uevents for it. -ENODEV: there is no virtio device at all; -ETIMEDOUT: not within
 * @timeout_ms.
 */
int setup__open_port(const char *name, int uevents, uint32_t timeout_ms);
/* The terminal /dev/hvc0, waited for likewise. */
int setup__open_terminal(int uevents, uint32_t timeout_ms);

/* Waits on @uevents for anything until @deadline_ns (guest__boot_ns()); false when that passed. */
bool setup__wait_uevent(int uevents, uint64_t deadline_ns);

/* One line on COM2, with PID 1's prefix. */
void guest__log(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* CLOCK_BOOTTIME, ns. */
uint64_t guest__boot_ns(void);

#endif /* KTSTR_GUEST_SETUP_H */
