// SPDX-License-Identifier: GPL-2.0-only
/*
 * Classifier of kernel console lines. The texts are those of the kernel's printk calls,
 * and of the program that comes before init.
 */
#include "console_scan.h"

#include <ktstr/proto.h>

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/*
 * An oops' RIP stands within its first lines, the modules and the CPU line come before it; so does
 * that of a CPU that is stuck, found by itself or made to say so by an NMI.
 */
#define RIP_LINES 40u

struct pattern {
	const char *prefix;   /* the line begins with it, after the timestamp */
	const char *contains; /* and has this somewhere; NULL: nothing more */
	enum ktstr_verdict verdict;
};

static const char panic_prefix[] = "Kernel panic - not syncing: ";

/* Within a panic's own text; the first that fits. */
static const struct pattern panics[] = {
	{"", "Attempted to kill init", KTSTR_VERDICT_INIT_DIED},
	{"", "No working init found", KTSTR_VERDICT_NO_BOOT},
	{"Requested init ", NULL, KTSTR_VERDICT_NO_BOOT},
	{"VFS: ", NULL, KTSTR_VERDICT_NO_BOOT},
	{"", "ut of memory", KTSTR_VERDICT_GUEST_OOM},
	{"System is deadlocked on memory", NULL, KTSTR_VERDICT_GUEST_OOM},
	{"softlockup: hung tasks", NULL, KTSTR_VERDICT_GUEST_STALL},
	{"hung_task: blocked tasks", NULL, KTSTR_VERDICT_GUEST_STALL},
	{"RCU Stall", NULL, KTSTR_VERDICT_GUEST_STALL},
	{"Hard LOCKUP", NULL, KTSTR_VERDICT_GUEST_STALL},
	{"", NULL, KTSTR_VERDICT_KERNEL_PANIC},
};

static const struct pattern lines[] = {
	{KTSTR_STAGE1_LOG, NULL, KTSTR_VERDICT_NO_BOOT},
	{"BUG: workqueue lockup", NULL, KTSTR_VERDICT_GUEST_STALL},
	{"BUG: ", NULL, KTSTR_VERDICT_KERNEL_OOPS},
	{"Oops: ", NULL, KTSTR_VERDICT_KERNEL_OOPS},
	{"kernel BUG at ", "!", KTSTR_VERDICT_KERNEL_OOPS},
	{"Internal error: Oops", NULL, KTSTR_VERDICT_KERNEL_OOPS},     /* arm64 */
	{"Unable to handle kernel ", NULL, KTSTR_VERDICT_KERNEL_OOPS}, /* arm64 */
	{"general protection fault", "[#", KTSTR_VERDICT_KERNEL_OOPS},
	{"invalid opcode: ", "[#", KTSTR_VERDICT_KERNEL_OOPS},
	{"divide error: ", "[#", KTSTR_VERDICT_KERNEL_OOPS},
	{"double fault: ", "[#", KTSTR_VERDICT_KERNEL_OOPS},
	{"stack segment: ", "[#", KTSTR_VERDICT_KERNEL_OOPS},
	{"Out of memory: Killed process ", NULL, KTSTR_VERDICT_GUEST_OOM},
	{"Out of memory: Kill process ", NULL, KTSTR_VERDICT_GUEST_OOM}, /* before 5.3 */
	{"Out of memory and no killable processes", NULL, KTSTR_VERDICT_GUEST_OOM},
	{"watchdog: BUG: soft lockup - CPU#", NULL, KTSTR_VERDICT_GUEST_STALL},
	{"watchdog: Watchdog detected hard LOCKUP on cpu ", NULL, KTSTR_VERDICT_GUEST_STALL},
	{"watchdog: CPU", "Watchdog detected hard LOCKUP on cpu ", KTSTR_VERDICT_GUEST_STALL},
	{"NMI watchdog: Watchdog detected hard LOCKUP on cpu ", NULL, KTSTR_VERDICT_GUEST_STALL},
	{"Watchdog detected hard LOCKUP on cpu ", NULL, KTSTR_VERDICT_GUEST_STALL},
	{"rcu: INFO: rcu_", "detected stalls", KTSTR_VERDICT_GUEST_STALL},
	{"rcu: INFO: rcu_", "self-detected stall", KTSTR_VERDICT_GUEST_STALL},
	{"rcu: INFO: rcu_", "detected expedited stalls", KTSTR_VERDICT_GUEST_STALL},
	{"INFO: task ", " blocked for more than ", KTSTR_VERDICT_GUEST_STALL},
	{"INFO: task ", " blocked in I/O wait for more than ", KTSTR_VERDICT_GUEST_STALL},
};

static enum ktstr_verdict match(const char *text, const struct pattern *patterns, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct pattern *p = &patterns[i];

		if (!strncmp(text, p->prefix, strlen(p->prefix)) &&
		    (!p->contains || strstr(text, p->contains)))
			return p->verdict;
	}
	return KTSTR_VERDICT_NONE;
}

/* "[ 12.345678] " or "[ 12.345678][ T1] " (CONFIG_PRINTK_TIME, CONFIG_PRINTK_CALLER) */
static const char *skip_timestamp(const char *line)
{
	const char *p = line;

	if (*p != '[')
		return line;
	p++;
	while (*p == ' ')
		p++;
	if (!isdigit((unsigned char)*p))
		return line;
	while (isdigit((unsigned char)*p))
		p++;
	if (*p++ != '.')
		return line;
	while (isdigit((unsigned char)*p))
		p++;
	if (*p++ != ']')
		return line;
	if (*p == '[') {
		const char *end = strchr(p, ']');

		if (!end)
			return line;
		p = end + 1;
	}
	return *p == ' ' ? p + 1 : line;
}

void console_scan__init(struct console_scan *scan)
{
	memset(scan, 0, sizeof(*scan));
}

/* "RIP: 0010:symbol+0x12/0x34": kernel code (selector __KERNEL_CS) */
static void look_for_rip(struct console_scan *scan, const char *text)
{
	static const char rip[] = "RIP: 0010:";
	size_t used = strlen(scan->first.cause);
	size_t symbol;

	if (!scan->rip_lines)
		return;
	scan->rip_lines--;
	if (strncmp(text, rip, sizeof(rip) - 1))
		return;
	text += sizeof(rip) - 1;
	symbol = strcspn(text, " ");
	snprintf(scan->first.cause + used, sizeof(scan->first.cause) - used, "; in %.*s",
		 symbol > 100 ? 100 : (int)symbol, text);
	scan->rip_lines = 0;
}

static bool look_at_line(struct console_scan *scan, uint64_t position)
{
	const char *text;
	enum ktstr_verdict verdict;

	while (scan->length && isspace((unsigned char)scan->buf[scan->length - 1]))
		scan->length--;
	scan->buf[scan->length] = '\0';
	text = skip_timestamp(scan->buf);
	if (!strncmp(text, panic_prefix, sizeof(panic_prefix) - 1)) {
		scan->panicked = true;
		verdict = match(text + sizeof(panic_prefix) - 1, panics,
				sizeof(panics) / sizeof(*panics));
	} else {
		verdict = match(text, lines, sizeof(lines) / sizeof(*lines));
	}
	if (scan->first.verdict != KTSTR_VERDICT_NONE) {
		look_for_rip(scan, text);
		return false;
	}
	if (verdict == KTSTR_VERDICT_NONE)
		return false;
	scan->first.verdict = verdict;
	scan->first.position = position;
	scan->first.line = scan->nr_line;
	snprintf(scan->first.cause, sizeof(scan->first.cause), "%.200s", text);
	/* a hung task is on no CPU: what comes then is another's */
	if (verdict == KTSTR_VERDICT_KERNEL_OOPS ||
	    (verdict == KTSTR_VERDICT_GUEST_STALL && strncmp(text, "INFO: task ", 11)))
		scan->rip_lines = RIP_LINES;
	return true;
}

bool console_scan__feed(struct console_scan *scan, const void *data, size_t length)
{
	const char *p = data;
	bool found = false;

	for (size_t i = 0; i < length; i++) {
		if (p[i] != '\n') {
			if (scan->length < CONSOLE_SCAN_LINE)
				scan->buf[scan->length++] = p[i] ? p[i] : ' ';
			continue;
		}
		scan->nr_line++;
		if (look_at_line(scan, scan->position))
			found = true;
		scan->length = 0;
		scan->position = scan->received + i + 1;
	}
	scan->received += length;
	return found;
}

bool console_scan__end(struct console_scan *scan)
{
	bool found;

	if (!scan->length)
		return false;
	scan->nr_line++;
	found = look_at_line(scan, scan->position);
	scan->length = 0;
	return found;
}
