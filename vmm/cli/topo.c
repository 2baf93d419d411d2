// SPDX-License-Identifier: GPL-2.0-only
/* `ktstr topo`: shows what a topology is, what its guest is told, and what this host has. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ktstr/gauntlet.h>

#include "cli.h"
#include "topo_dump.h"
#include "topo_placement.h"
#include "topo_view.h"

#define COMMAND "topo"

struct topo_options {
	struct cli_machine machine;
	const char *acpi_dir, *mptable;
	const char *host; /* where its /sys is; NULL: not asked for */
	bool cpuid, presets, placement, help;
	enum placement_mode mode;
	bool declared; /* an option that describes a machine was given */
};

static void usage(FILE *to)
{
	fputs("Usage: ktstr topo [OPTIONS]\n"
	      "       ktstr topo --host[=SYS]\n"
	      "       ktstr topo --placement[=best-effort] [--host=SYS] [OPTIONS]\n"
	      "       ktstr topo --presets\n"
	      "\n"
	      "Prints the machine that `ktstr run` makes of the same options as a picture. With "
	      "one or\n"
	      "more of --cpuid and --dump-*, these instead. Needs no KVM.\n"
	      "\n"
	      "  -t, --topology T       as of ktstr run, see there; so are --node N, --distance "
	      "D,\n"
	      "                         --cache C, --capacity C and -m, --memory MB\n"
	      "      --vendor V         an intel or an amd CPU [the host's]\n"
	      "      --cpuid            print the topology leaves of each CPU\n"
	      "      --dump-acpi DIR    write the ACPI tables, a file each, as apic.dat, srat.dat, "
	      "...\n"
	      "      --dump-mptable F   write the MP table\n"
	      "      --host[=SYS]       picture of this host, or of that whose /sys, or a copy, is "
	      "SYS\n"
	      "      --placement[=best-effort]\n"
	      "                         where performance mode puts the machine on the host, what "
	      "it lacks\n"
	      "                         and what to do; exit status 1 where it cannot be had\n"
	      "      --presets          names that --topology takes, and what they are\n"
	      "  -h, --help\n",
	      to);
}

static int bad(const char *option, const char *why)
{
	return cli_bad(COMMAND, option, why);
}

static int parse_mode(struct topo_options *o, const char *value)
{
	o->placement = true;
	o->mode = value ? PLACEMENT_BEST_EFFORT : PLACEMENT_REQUIRED;
	if (!value || !strcmp(value, "best-effort"))
		return 0;
	return bad("--placement", "takes best-effort, or nothing");
}

/* 0, an exit status, or -1: getopt_long() stopped at something. */
static int parse_option(struct topo_options *o, int c)
{
	if (c != 'H' && c != 'P' && c != 'h')
		o->declared = true;
	switch (c) {
	case 'c':
		o->cpuid = true;
		return 0;
	case 'A':
		o->acpi_dir = optarg;
		return 0;
	case 'M':
		o->mptable = optarg;
		return 0;
	case 'H':
		o->host = optarg ? optarg : "/sys";
		return 0;
	case 'L':
		return parse_mode(o, optarg);
	case 'P':
		o->presets = true;
		return 0;
	case 'h':
		o->help = true;
		return 0;
	default:
		return cli_machine__option(&o->machine, COMMAND, c, optarg);
	}
}

static int parse_options(struct topo_options *o, int argc, char **argv)
{
	static const struct option options[] = {
		CLI_MACHINE_OPTIONS,
		{"cpuid", no_argument, NULL, 'c'},
		{"dump-acpi", required_argument, NULL, 'A'},
		{"dump-mptable", required_argument, NULL, 'M'},
		{"host", optional_argument, NULL, 'H'},
		{"placement", optional_argument, NULL, 'L'},
		{"presets", no_argument, NULL, 'P'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int c, index = 1;

	optind = 1;
	while ((c = getopt_long(argc, argv, "+:t:m:h", options, NULL)) != -1) {
		int status = parse_option(o, c);

		if (status < 0)
			return cli_bad_option(COMMAND, c, argv[index]);
		if (status)
			return status;
		index = optind;
	}
	if (argv[optind])
		return bad(argv[optind], "not an option");
	if (o->presets && (o->declared || o->host))
		return bad("--presets", "takes no option beside it");
	if (o->placement && (o->cpuid || o->acpi_dir || o->mptable))
		return bad("--placement", "is not with --cpuid and --dump-*");
	if (o->host && o->declared && !o->placement)
		return bad("--host", "takes no option beside it: the host is as it is");
	return 0;
}

/* What was printed is out, or the reason why not is. */
static int finish_output(void)
{
	struct ktstr_error error = {0};

	if (!fflush(stdout) && !ferror(stdout))
		return 0;
	ktstr_error__set(&error, errno ? errno : EIO, "write", "standard output", NULL);
	return cli_error(COMMAND, &error);
}

static int show(struct topo_view *view)
{
	topo_view__print(view, stdout);
	topo_view__destroy(view);
	return finish_output();
}

static int show_presets(void)
{
	size_t nr;
	const struct ktstr_preset *preset = ktstr_presets(&nr);

	for (; nr; nr--, preset++) {
		char topology[80];

		ktstr_topology__format(&preset->topology, topology, sizeof(topology));
		printf("%-18s %3u CPUs  %-12s %s\n", preset->name,
		       ktstr_topology__cpus(&preset->topology), topology, preset->what);
	}
	return finish_output();
}

static int show_host(const char *sys)
{
	struct ktstr_error error = {0};
	struct topo_view view;

	if (topo_view__of_host(sys, &view, &error))
		return cli_error(COMMAND, &error);
	return show(&view);
}

static int show_machine(const struct topo_options *o, const struct topo_machine *m)
{
	struct ktstr_error error = {0};
	struct topo_view view;

	if (o->acpi_dir && topo_dump__acpi(m, o->acpi_dir, &error))
		return cli_error(COMMAND, &error);
	if (o->mptable && topo_dump__mptable(m, o->mptable, &error))
		return cli_error(COMMAND, &error);
	if (o->cpuid && topo_dump__cpuid(m, stdout, &error))
		return cli_error(COMMAND, &error);
	if (o->acpi_dir || o->mptable || o->cpuid)
		return finish_output();
	if (topo_view__of_layout(&m->layout, &view, &error))
		return cli_error(COMMAND, &error);
	if (topo_dump__caches(m, &view.caches, &error)) {
		topo_view__destroy(&view);
		return cli_error(COMMAND, &error);
	}
	return show(&view);
}

static int show_placement(const struct topo_options *o, const struct layout *machine)
{
	struct ktstr_error error = {0};
	bool met;
	int status;

	if (topo_placement__print(machine, o->host, o->mode, stdout, &met, &error))
		return cli_error(COMMAND, &error);
	status = finish_output();
	return status || met ? status : CLI_EXIT_UNMET;
}

int cli_topo(int argc, char **argv)
{
	struct topo_options o = {.host = NULL};
	struct ktstr_error error = {0};
	struct topo_machine machine;
	int without_kvm, status = parse_options(&o, argc, argv);

	if (status)
		return status;
	if (o.help) {
		usage(stdout);
		return 0;
	}
	if (o.presets)
		return show_presets();
	if (o.host && !o.placement)
		return show_host(o.host);
	status = cli_machine__finish(&o.machine, COMMAND);
	if (status)
		return status;
	if (topo_machine__create(&o.machine.options.topology, o.machine.memory_mb, o.machine.vendor,
				 o.cpuid || o.mptable, &machine, &without_kvm, &error))
		return cli_error(COMMAND, &error);
	if (without_kvm)
		fprintf(stderr,
			"ktstr: topo: /dev/kvm: %s; features are left out, the topology is whole\n",
			strerror(without_kvm));
	status = o.placement ? show_placement(&o, &machine.layout) : show_machine(&o, &machine);
	topo_machine__destroy(&machine);
	return status;
}
