// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads symbols and DWARF line tables with libdw. It is opened when it is needed: linked in, every
 * guest would carry it and the libraries that it needs.
 */
#include "backtrace.h"

#include <ctype.h>
#include <dlfcn.h>
#include <dwarf.h>
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DW_LIBRARY "libdw.so.1"
#define INIT "/init"
#define LINE_MAX_SHOWN 512 /* bytes of a line that is shown as it came */

/* What is used of libdw. */
struct libdw {
	void *handle;
	__typeof__(dwfl_begin) *begin;
	__typeof__(dwfl_end) *end;
	__typeof__(dwfl_report_elf) *report_elf;
	__typeof__(dwfl_report_end) *report_end;
	__typeof__(dwfl_module_addrinfo) *addrinfo;
	__typeof__(dwfl_module_addrdie) *addrdie;
	__typeof__(dwfl_module_nextcu) *nextcu;
	__typeof__(dwarf_haspc) *haspc;
	__typeof__(dwarf_getsrc_die) *getsrc_die;
	__typeof__(dwarf_linesrc) *linesrc;
	__typeof__(dwarf_lineno) *lineno;
	__typeof__(dwfl_offline_section_address) *section_address;
	__typeof__(dwarf_getscopes) *getscopes;
	__typeof__(dwarf_tag) *tag;
	__typeof__(dwarf_diename) *diename;
};

/* The file that frames were found in last: most are in the same. */
struct session {
	struct libdw dw;
	Dwfl_Callbacks callbacks;
	char path[PATH_MAX];
	Dwfl *dwfl;
	Dwfl_Module *module;
};

static bool open_libdw(struct libdw *dw)
{
	dw->handle = dlopen(DW_LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!dw->handle)
		return false;
	dw->begin = dlsym(dw->handle, "dwfl_begin");
	dw->end = dlsym(dw->handle, "dwfl_end");
	dw->report_elf = dlsym(dw->handle, "dwfl_report_elf");
	dw->report_end = dlsym(dw->handle, "dwfl_report_end");
	dw->addrinfo = dlsym(dw->handle, "dwfl_module_addrinfo");
	dw->addrdie = dlsym(dw->handle, "dwfl_module_addrdie");
	dw->nextcu = dlsym(dw->handle, "dwfl_module_nextcu");
	dw->haspc = dlsym(dw->handle, "dwarf_haspc");
	dw->getsrc_die = dlsym(dw->handle, "dwarf_getsrc_die");
	dw->linesrc = dlsym(dw->handle, "dwarf_linesrc");
	dw->lineno = dlsym(dw->handle, "dwarf_lineno");
	dw->section_address = dlsym(dw->handle, "dwfl_offline_section_address");
	dw->getscopes = dlsym(dw->handle, "dwarf_getscopes");
	dw->tag = dlsym(dw->handle, "dwarf_tag");
	dw->diename = dlsym(dw->handle, "dwarf_diename");
	if (dw->begin && dw->end && dw->report_elf && dw->report_end && dw->addrinfo &&
	    dw->addrdie && dw->nextcu && dw->haspc && dw->getsrc_die && dw->linesrc && dw->lineno &&
	    dw->section_address && dw->getscopes && dw->tag && dw->diename)
		return true;
	dlclose(dw->handle);
	dw->handle = NULL;
	return false;
}

/* No search for separate files: that could ask a server in the network. */
static int find_no_debuginfo(Dwfl_Module *module, void **user, const char *name, Dwarf_Addr base,
			     const char *file, const char *link, GElf_Word crc, char **found)
{
	(void)module;
	(void)user;
	(void)name;
	(void)base;
	(void)file;
	(void)link;
	(void)crc;
	(void)found;
	return -1;
}

static void close_file(struct session *s)
{
	if (s->dwfl)
		s->dw.end(s->dwfl);
	s->dwfl = NULL;
	s->module = NULL;
	s->path[0] = '\0';
}

/* The guest names the file: only what is a shared library, and nothing that opening could disturb.
 */
static int open_file(const char *path, bool is_init)
{
	struct stat st;

	if (path[0] != '/' || (!is_init && (!strstr(path, ".so") || strstr(path, "/../"))) ||
	    stat(path, &st) || !S_ISREG(st.st_mode))
		return -1;
	return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

/* Addresses are those of the ELF headers: the file is as if it were loaded at 0. */
static bool use_file(struct session *s, const char *path, bool is_init)
{
	int fd;

	if (!strcmp(path, s->path))
		return s->module;
	close_file(s);
	snprintf(s->path, sizeof(s->path), "%s", path);
	fd = open_file(path, is_init);
	if (fd < 0)
		return false;
	s->dwfl = s->dw.begin(&s->callbacks);
	if (s->dwfl)
		s->module = s->dw.report_elf(s->dwfl, "file", path, fd, 0, true);
	if (!s->module)
		close(fd); /* otherwise it is libdw's */
	if (s->dwfl && s->dw.report_end(s->dwfl, NULL, NULL))
		s->module = NULL;
	return s->module;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/*
 * The compilation unit of @address, and the difference of its own addresses. Without .debug_aranges
 * (clang writes none by itself) each is asked.
 */
static Dwarf_Die *find_unit(struct session *s, Dwarf_Addr address, Dwarf_Addr *bias)
{
	Dwarf_Die *unit = s->dw.addrdie(s->module, address, bias);

	if (unit)
		return unit;
	do
		unit = s->dw.nextcu(s->module, unit, bias);
	while (unit && s->dw.haspc(unit, address - *bias) <= 0);
	return unit;
}

/* The innermost function, inlined ones too: the one whose source line is shown. */
static const char *find_function(struct session *s, Dwarf_Die *unit, Dwarf_Addr address)
{
	Dwarf_Die *scopes = NULL;
	int nr = s->dw.getscopes(unit, address, &scopes);
	const char *name = NULL;

	for (int i = 0; i < nr && !name; i++) {
		int tag = s->dw.tag(&scopes[i]);

		if (tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine)
			name = s->dw.diename(&scopes[i]);
	}
	free(scopes);
	return name;
}

/* "#0 function (file.c:12)"; without debug information "#0 function+0x12 (libc.so.6)". */
static bool put_resolved(struct session *s, unsigned int number, const char *path, uint64_t address,
			 FILE *out)
{
	const char *file = NULL, *name = NULL;
	Dwarf_Addr bias = 0;
	Dwarf_Die *unit = find_unit(s, address, &bias);
	Dwarf_Line *line = unit ? s->dw.getsrc_die(unit, address - bias) : NULL;
	GElf_Off offset = 0;
	GElf_Sym symbol;
	int at = 0;

	if (line && !s->dw.lineno(line, &at))
		file = s->dw.linesrc(line, NULL, NULL);
	if (file)
		name = find_function(s, unit, address - bias);
	/* Symbols come second: clang's coverage has some that lie at no address. */
	if (!name)
		name = s->dw.addrinfo(s->module, address, &offset, &symbol, NULL, NULL, NULL);
	if (file)
		fprintf(out, "#%u %s (%s:%d)\n", number, name ? name : "?", base_name(file), at);
	else if (name)
		fprintf(out, "#%u %s+0x%llx (%s)\n", number, name, (unsigned long long)offset,
			base_name(path));
	return file || name;
}

/* "#NUMBER FILE+0xADDRESS", with FILE in @path. */
static bool parse_frame(const char *line, size_t length, unsigned int *number, char path[PATH_MAX],
			uint64_t *address)
{
	const char *end = line + length, *p = line + 1, *plus;
	char digits[17];
	size_t n;

	if (!length || line[0] != '#' || p == end || !isdigit((unsigned char)*p))
		return false;
	for (*number = 0; p < end && isdigit((unsigned char)*p) && *number < 1000; p++)
		*number = *number * 10 + (unsigned int)(*p - '0');
	plus = memrchr(p, '+', (size_t)(end - p));
	if (p == end || *p++ != ' ' || !plus || plus <= p || (size_t)(plus - p) >= PATH_MAX ||
	    end - plus < 4 || plus[1] != '0' || plus[2] != 'x')
		return false;
	memcpy(path, p, (size_t)(plus - p));
	path[plus - p] = '\0';
	n = (size_t)(end - plus - 3);
	if (n >= sizeof(digits))
		return false;
	memcpy(digits, plus + 3, n);
	digits[n] = '\0';
	if (strspn(digits, "0123456789abcdef") != n)
		return false;
	*address = strtoull(digits, NULL, 16);
	return true;
}

static void put_as_it_is(const char *line, size_t length, FILE *out)
{
	for (size_t i = 0; i < length && i < LINE_MAX_SHOWN; i++)
		fputc(line[i] < ' ' || line[i] > '~' ? '?' : line[i], out);
	fputc('\n', out);
}

static void put_frame(struct session *s, const char *line, size_t length, const char *init,
		      FILE *out)
{
	char path[PATH_MAX];
	unsigned int number;
	uint64_t address;

	if (s->dw.handle && parse_frame(line, length, &number, path, &address)) {
		bool is_init = !strcmp(path, INIT);

		if (use_file(s,
			     !is_init ? path
			     : init   ? init
				      : "",
			     is_init) &&
		    put_resolved(s, number, path, address, out))
			return;
	}
	put_as_it_is(line, length, out);
}

char *backtrace__resolve(const char *report, const char *init)
{
	struct session *s = calloc(1, sizeof(*s));
	unsigned int frames = 0;
	char *text = NULL;
	size_t size;
	FILE *out = s ? open_memstream(&text, &size) : NULL;

	if (!out) {
		free(s);
		return NULL;
	}
	if (open_libdw(&s->dw))
		s->callbacks = (Dwfl_Callbacks){.find_debuginfo = find_no_debuginfo,
						.section_address = s->dw.section_address};
	for (const char *line = report; *line && frames < BACKTRACE_FRAMES;) {
		size_t length = strcspn(line, "\n");

		if (line[0] == '#') {
			put_frame(s, line, length, init, out);
			frames++;
		}
		line += length + (line[length] == '\n');
	}
	close_file(s);
	if (s->dw.handle)
		dlclose(s->dw.handle);
	free(s);
	if (fclose(out) || !frames) {
		free(text);
		return NULL;
	}
	return text;
}
