// SPDX-License-Identifier: GPL-2.0-only
/*
 * Clocks, governors, heat, load and rights, from /sys and /proc (Documentation/admin-guide/pm,
 * Documentation/driver-api/thermal, Documentation/accounting/psi.rst, proc(5)).
 */
#include "host_conditions.h"

#include <ctype.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmdline.h"

#define CPU "devices/system/cpu/cpu%u/"
#define CLOCKSOURCE "devices/system/clocksource/clocksource0/"
#define MAX_COOLING_DEVICES 1024u
#define MAX_RT_PRIORITY 99u /* sched(7) */

static void cut_line(char *text)
{
	text[strcspn(text, "\n")] = '\0';
}

static void read_clocksource(struct host_conditions *c, const char *sys)
{
	char offered[256];

	if (host_files__text(sys, c->clocksource, sizeof(c->clocksource),
			     CLOCKSOURCE "current_clocksource"))
		c->clocksource[0] = '\0';
	cut_line(c->clocksource);
	if (!host_files__text(sys, offered, sizeof(offered), CLOCKSOURCE "available_clocksource")) {
		cut_line(offered);
		c->tsc_offered = cmdline__has(offered, "tsc");
	}
}

static void read_cpu(struct host_cpu_condition *cpu, const char *sys, uint32_t number)
{
	uint64_t core, package;

	if (host_files__text(sys, cpu->governor, sizeof(cpu->governor),
			     CPU "cpufreq/scaling_governor", number))
		cpu->governor[0] = '\0';
	cut_line(cpu->governor);
	if (!host_files__u64(sys, &core, CPU "thermal_throttle/core_throttle_count", number))
		cpu->throttled = core;
	if (!host_files__u64(sys, &package, CPU "thermal_throttle/package_throttle_count",
			     number) &&
	    package > cpu->throttled)
		cpu->throttled = package;
}

/* Of the kinds that slow CPUs down; fans cool, too. */
static bool slows_cpus(const char *type)
{
	static const char *const prefixes[] = {"Processor", "cpufreq-", "thermal-cpufreq-",
					       "intel_powerclamp"};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++)
		if (!strncmp(type, prefixes[i], strlen(prefixes[i])))
			return true;
	return false;
}

static void read_cooling(struct host_conditions *c, const char *sys)
{
	char type[64];
	uint64_t state;

	for (unsigned int i = 0; i < MAX_COOLING_DEVICES; i++) {
		if (!host_files__text(sys, type, sizeof(type),
				      "class/thermal/cooling_device%u/type", i) &&
		    slows_cpus(type) &&
		    !host_files__u64(sys, &state, "class/thermal/cooling_device%u/cur_state", i) &&
		    state > 0)
			c->cooling++;
	}
}

/* The first CPU's flags; the rest of a large host's file is not looked at. */
static void read_cpuinfo(struct host_conditions *c, const char *proc)
{
	char text[16384];
	char *flags;
	int ret = host_files__text(proc, text, sizeof(text), "cpuinfo");

	if (ret && ret != -E2BIG)
		return;
	flags = strstr(text, "\nflags\t");
	if (!flags || !strchr(flags + 1, '\n'))
		return;
	flags++;
	cut_line(flags);
	c->known |= HOST_KNOWS_CPUINFO;
	c->in_machine = cmdline__has(flags, "hypervisor");
	c->tsc_steady = cmdline__has(flags, "constant_tsc") && cmdline__has(flags, "nonstop_tsc");
}

/* "12.34", with two digits behind the point as the kernel writes loads. False: something else. */
static bool parse_hundredths(const char *text, uint32_t *value)
{
	char *end;
	unsigned long whole;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	whole = strtoul(text, &end, 10);
	if (errno || whole > UINT32_MAX / 200 || *end != '.' || !isdigit((unsigned char)end[1]) ||
	    !isdigit((unsigned char)end[2]))
		return false;
	*value = (uint32_t)whole * 100 + (uint32_t)(end[1] - '0') * 10 + (uint32_t)(end[2] - '0');
	return true;
}

static void read_load(struct host_conditions *c, const char *proc)
{
	static const char average[] = "some avg10=";
	char text[512];

	if (!host_files__text(proc, text, sizeof(text), "loadavg") &&
	    parse_hundredths(text, &c->load_hundredths))
		c->known |= HOST_KNOWS_LOAD;
	if (!host_files__text(proc, text, sizeof(text), "pressure/cpu") &&
	    !strncmp(text, average, strlen(average)) &&
	    parse_hundredths(text + strlen(average), &c->pressure_hundredths))
		c->known |= HOST_KNOWS_PRESSURE;
}

/* Capabilities of another user namespace are none over the host's CPUs (user_namespaces(7)). */
static bool in_first_user_namespace(const char *proc)
{
	static const unsigned long whole[] = {0, 0, UINT32_MAX};
	char text[64];
	char *p = text;

	if (host_files__text(proc, text, sizeof(text), "self/uid_map"))
		return true; /* a kernel without such namespaces */
	for (size_t i = 0; i < sizeof(whole) / sizeof(*whole); i++)
		if (strtoul(p, &p, 10) != whole[i])
			return false;
	return true;
}

static bool has_sys_nice(const char *proc)
{
	static const char effective[] = "\nCapEff:\t";
	char text[8192];
	const char *line;

	if (host_files__text(proc, text, sizeof(text), "self/status"))
		return false;
	line = strstr(text, effective);
	return line && (strtoull(line + strlen(effective), NULL, 16) >> CAP_SYS_NICE & 1) &&
	       in_first_user_namespace(proc);
}

/* By RLIMIT_RTPRIO, or by CAP_SYS_NICE, which has no limit. */
static void read_rights(struct host_conditions *c, const char *proc)
{
	static const char limit[] = "\nMax realtime priority";
	char text[8192];
	const char *line;

	if (host_files__text(proc, text, sizeof(text), "self/limits"))
		return;
	line = strstr(text, limit);
	if (!line)
		return;
	line += strlen(limit);
	line += strspn(line, " ");
	c->known |= HOST_KNOWS_RIGHTS;
	c->rt_priority = (uint32_t)strtoul(line, NULL, 10);
	if (!isdigit((unsigned char)*line) || c->rt_priority > MAX_RT_PRIORITY ||
	    has_sys_nice(proc))
		c->rt_priority = MAX_RT_PRIORITY;
}

static void read_nodes_allowed(struct host_conditions *c, const char *proc)
{
	static const char name[] = "\nMems_allowed_list:\t";
	char text[8192];
	char *line;

	if (host_files__text(proc, text, sizeof(text), "self/status"))
		return;
	line = strstr(text, name);
	if (!line)
		return;
	line += strlen(name);
	cut_line(line);
	if (!host_set__parse(line, &c->nodes_allowed))
		c->known |= HOST_KNOWS_NODES;
}

int host_conditions__read(struct host_conditions *conditions, const char *sys, const char *proc,
			  const struct host_topology *topology, struct ktstr_error *error)
{
	*conditions = (struct host_conditions){.nr_cpus = topology->nr_cpus};
	conditions->cpus = calloc(topology->nr_cpus, sizeof(*conditions->cpus));
	if (!conditions->cpus)
		return ktstr_error__set(error, ENOMEM, "read the host's conditions", NULL, NULL);
	for (uint32_t i = 0; i < topology->nr_cpus; i++)
		read_cpu(&conditions->cpus[i], sys, topology->cpus[i].cpu);
	read_clocksource(conditions, sys);
	read_cooling(conditions, sys);
	if (proc) {
		read_cpuinfo(conditions, proc);
		read_load(conditions, proc);
		read_rights(conditions, proc);
		read_nodes_allowed(conditions, proc);
	}
	return 0;
}

void host_conditions__free(struct host_conditions *conditions)
{
	free(conditions->cpus);
	*conditions = (struct host_conditions){0};
}
