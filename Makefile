# SPDX-License-Identifier: GPL-2.0-only
# make              libktstr.a and the ktstr command
# make check        all tests that fit into 25 minutes; sets up what is missing by itself
# make run_tests    the scheduler tests alone, likewise
# make check-long   what takes longer; SLICE=N runs a part of it, the N-th in turn
# make check-arm64  tests of an arm64 build, in emulated arm64 hosts; TESTS="FILE..." of it, or TESTS=long
# make coverage     which lines of the host's and the guest's side tests run (clang)
# make fuzz         fuzz targets for SECONDS=60 each, with clang; make fuzz-coverage: what they reach
# make lint, bench, format, install, clean
#
# ARCH=arm64 is a cross build on another machine (scripts/setup arm64), into build/arm64.
# O=DIR builds there (default: build); DEBUG=1 with ASan and UBSan; V=1 shows commands.
# KSRC=DIR is a kernel source tree, KERNEL=K the kernel to test (bzImage, vmlinux, build tree or version). PREFIX=, DESTDIR= for install.

VERSION := 0.1.0
arch_of = $(subst aarch64,arm64,$(subst x86_64,x86,$(1)))
host_arch := $(call arch_of,$(shell uname -m))
# Builds of kernels export it, too, by either name.
override ARCH := $(call arch_of,$(or $(ARCH),$(host_arch)))
# ARCH=arm64 elsewhere is a cross build: its compiler, and libraries unpacked into the build folder.
ifneq ($(ARCH),$(host_arch))
  ifneq ($(ARCH),arm64)
    $(error ARCH=$(ARCH): this machine builds for $(host_arch) and arm64)
  endif
  cross := aarch64-linux-gnu
endif
O ?= $(if $(cross),build/$(ARCH),build)
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
ifdef cross
  CC := $(cross)-gcc
  AR := $(cross)-ar
  sysroot := $(abspath $(O))/sysroot
  sysroot_flags := -isystem $(sysroot)/usr/include -isystem $(sysroot)/usr/include/$(cross)
  sysroot_libs := $(foreach d,$(sysroot)/usr/lib/$(cross) $(sysroot)/lib/$(cross),-L$d -Wl,-rpath-link,$d)
  export PKG_CONFIG_LIBDIR := $(sysroot)/usr/lib/$(cross)/pkgconfig:$(sysroot)/usr/share/pkgconfig
  sched_ext_cross := CROSS_COMPILE=$(cross)- SYSROOT=$(sysroot)
endif
CC ?= gcc
PKG_CONFIG ?= pkg-config
SHELL := /bin/bash
.DELETE_ON_ERROR:

out := $(abspath $(O))
ifneq ($(V),1)
  Q := @
endif
say = @$(if $(Q),printf '  %-7s %s\n' $(1) $(patsubst $(CURDIR)/%,%,$@),:)
cache := $(or $(KTSTR_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/ktstr)
KSRC ?= $(cache)/source/default
ifdef KERNEL
  export KTSTR_KERNEL := $(KERNEL)
endif
# Of all test binaries that one make runs, in their lines of metrics.
export KTSTR_RUN_ID := $(or $(KTSTR_RUN_ID),$(shell date -u +%Y%m%dT%H%M%SZ-$$$$))
packages := libelf zlib
ifeq ($(ARCH),arm64)
  LDLIBS += -l:libfdt.a
endif

WARN := -Wall -Wextra -Wshadow -Wconversion -Wvla -Werror
ifeq ($(FUZZ),1)
  OPT := -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all \
	-Wno-gnu-variable-sized-type-not-at-end
else ifeq ($(DEBUG),1)
  OPT := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all
else ifeq ($(COVERAGE),1)
  # The relocation lets processes share their counters: those that end by _exit() are counted, too.
  # What another compiler warns of is no reason not to count.
  WARN := $(filter-out -Werror,$(WARN))
  OPT := -O1 -fprofile-instr-generate -fcoverage-mapping -mllvm -runtime-counter-relocation \
	-Wno-gnu-variable-sized-type-not-at-end -Wno-unused-command-line-argument
else
  OPT := -O2 -D_FORTIFY_SOURCE=2
endif
CFLAGS_ALL = -std=gnu11 -D_GNU_SOURCE -g $(OPT) -fno-omit-frame-pointer $(WARN) -Iinclude -I. \
	-DKTSTR_VERSION=\"$(VERSION)\" $(shell $(PKG_CONFIG) --cflags $(packages) jansson) $(sysroot_flags) $(CFLAGS) -MMD -MP
# jansson only where something uses it: in a guest, each library is a file more.
LDLIBS_ALL = $(sysroot_libs) $(shell $(PKG_CONFIG) --libs $(packages)) -pthread -Wl,--push-state,--as-needed \
	$(shell $(PKG_CONFIG) --libs jansson) -lm -Wl,--pop-state $(LDLIBS)

lib_src := $(wildcard vmm/*.c vmm/virtio/*.c vmm/arch/$(ARCH)/*.c vmm/emulated/*.c initramfs/*.c \
	initramfs/arch/$(ARCH)/*.c guest/*.c guest/arch/$(ARCH)/*.c guest/kit/*.c)
cli_src := $(wildcard vmm/cli/*.c)
unit_src := $(wildcard selftests/vmm/test_*.c)
fuzz_src := $(wildcard selftests/fuzz/fuzz_*.c)
ifneq ($(ARCH),x86)
  unit_src := $(filter-out $(shell grep -l arch/x86/ $(unit_src)),$(unit_src))
  fuzz_src := $(filter-out $(shell grep -l arch/x86/ $(fuzz_src)),$(fuzz_src))
endif
lib_obj := $(lib_src:%.c=$(out)/%.o) $(out)/initramfs/stage1_blob.o $(out)/vmm/seccomp/filters.o
cli_obj := $(cli_src:%.c=$(out)/%.o)
unit_bin := $(unit_src:%.c=$(out)/%)
# Fuzz targets: fuzz_NAME, as replay_NAME with the corpus in the tree for every check.
fuzz_names := $(fuzz_src:selftests/fuzz/fuzz_%.c=%)
fuzz_bin := $(fuzz_names:%=$(out)/selftests/fuzz/fuzz_%)
replay_bin := $(fuzz_names:%=$(out)/selftests/fuzz/replay_%)
sched_bin = $(addprefix $(out)/selftests/sched_ext/,$(shell sed -n 's/^TESTS [:+]= //p' \
	selftests/sched_ext/Makefile))
# Not inside an emulated host: they boot nothing, or compile.
host_tests := selftests/topology/tools.t selftests/topology/tables.t selftests/cli/example.t \
	selftests/cli/host_shape.t
cli_tests := $(filter-out $(host_tests),$(wildcard selftests/cli/*.t))
long_bin = $(addprefix $(out)/selftests/sched_ext/,$(shell sed -n 's/^LONG_TESTS := //p' \
	selftests/sched_ext/Makefile))
# Golden outputs; long-*.t are of more CPUs, and of both CPU vendors.
topology_tests := $(wildcard selftests/topology/shapes-*.t)

.PHONY: all check run_tests check-long check-arm64 check-debug prepare do-check do-check-long \
	do-check-arm64 do-run_tests build-check build-run_tests build-check-long build-check-arm64 \
	build-unit unit cli-tests sched_ext coverage coverage-build lint bench fuzz do-fuzz fuzz-coverage format install clean
all: $(out)/libktstr.a $(out)/ktstr

ifdef cross
$(sysroot)/complete:
	@mkdir -p $(out)
	scripts/sysroot $(ARCH) $(sysroot)

$(lib_obj) $(cli_obj): | $(sysroot)/complete
endif

$(out)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS_ALL) -c -o $@ $<

# The first program of guests whose files are on a disk lies in the library as a file. It has no C
# library, and nothing of the flags of this build.
stage1 := $(out)/guest/stage1/stage1
stage1_cflags = -std=gnu11 -Os $(WARN) -Iinclude -Iguest/arch/$(ARCH) -ffreestanding -fno-builtin \
	-fno-stack-protector -fno-pic -fno-pie -fno-asynchronous-unwind-tables -fno-unwind-tables
stage1_ldflags := -nostdlib -static -Wl,--build-id=none,-z,noexecstack,-z,norelro,-z,noseparate-code,-s
$(stage1): $(wildcard guest/stage1/*.[ch] guest/arch/$(ARCH)/*.h) include/ktstr/proto.h
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(stage1_cflags) -c -o $@.o $(filter %.c,$^)
	$(Q)$(CC) $(stage1_ldflags) -o $@ $@.o

$(out)/initramfs/stage1_blob.o: initramfs/stage1_blob.S $(stage1)
	@mkdir -p $(@D)
	$(call say,AS)
	$(Q)$(CC) -DSTAGE1='"$(stage1)"' -c -o $@ $<

# The filters are made on the machine that builds, for the one that runs.
seccomp_kinds := loop vcpu disk network
seccomp_target := $(if $(filter x86,$(ARCH)),x86_64 -DTARGET_X86,aarch64)
seccomp_filters := $(seccomp_kinds:%=$(out)/vmm/seccomp/%.bpf)
HOSTCC ?= cc
$(out)/vmm/seccomp/compile: vmm/seccomp/compile.c vmm/vcpu.h
	@mkdir -p $(@D)
	$(call say,HOSTCC)
	$(Q)$(HOSTCC) -std=gnu11 -D_GNU_SOURCE -O1 $(WARN) -Iinclude -I. $(wordlist 2,9,$(seccomp_target)) \
		$(if $(filter 1,$(FUZZ) $(DEBUG)),-DSANITIZED) -o $@ $< -lseccomp

$(seccomp_filters) &: $(out)/vmm/seccomp/compile
	$(call say,SECCOMP)
	$(Q)$< $(firstword $(seccomp_target)) $(@D)

$(out)/vmm/seccomp/filters.o: vmm/seccomp/filters.S $(seccomp_filters)
	$(call say,AS)
	$(Q)$(CC) -Wa,-I$(@D) -c -o $@ $<

# Square roots are instructions: libm would be a file more in a guest.
$(out)/vmm/statistics.o: override CFLAGS += -fno-math-errno

$(out)/libktstr.a: $(lib_obj)
	$(call say,AR)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(out)/ktstr: $(cli_obj) $(out)/libktstr.a
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS) -o $@ $^ $(LDLIBS_ALL)

# ---- tests ----

# What is missing is installed and fetched first; then make starts anew and finds it.
check run_tests check-long: %: prepare
	+@$(MAKE) --no-print-directory $(parallel) build-$@
	+@$(MAKE) --no-print-directory do-$@

# All CPUs build, unless it was said how many.
parallel = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(jobs))
build-run_tests: all sched_ext
build-check-long: all build-unit sched_ext
build-check: all build-unit $(mixed) sched_ext
	+@$(MAKE) --no-print-directory DEBUG=1 O=$(out)/debug build-unit
build-unit: $(unit_bin) $(replay_bin) $(out)/ktstr

prepare:
	@scripts/setup
	@[ -e $(KSRC)/Makefile -a -n "$(KERNEL)" ] || scripts/kernel fetch

# Every test's line is shown; the files of a parallel run come out whole, one after the other.
jobs := $(shell nproc)
PROVE := prove --formatter TAP::Formatter::File --timer -v -j$(jobs)

# $(1) with one emulated KVM host a core, unless KVM is usable as it is.
define with_kvm
	@if [ "$$($(out)/ktstr probe | cut -d: -f1)" = native ]; then $(1); \
	else $(out)/ktstr emulated-host pool -n $(jobs) -- $(1); fi
endef

# Shapes of more CPUs are left to others: $(1) where KVM is native, $(2) where it is emulated (there, 16 CPUs
# boot in 11 s to a minute, 64 in 70 s to five).
max_cpus = KTSTR_MAX_CPUS=$$([ "$$($(out)/ktstr probe | cut -d: -f1)" = native ] && echo $(1) || echo $(2))

# Gauntlets: what fits into so many seconds (empty: all); a value in the environment goes before it.
budget_s = KTSTR_BUDGET_S=$${KTSTR_BUDGET_S-$(1)}

# Unit and device tests: one kselftest binary a file; no kernel is booted.
$(out)/selftests/vmm/%: selftests/vmm/%.c $(out)/libktstr.a
	@mkdir -p $(@D)
	@[ -e $(KSRC)/tools/testing/selftests/kselftest_harness.h ] || { \
		echo "$(KSRC): no kernel source tree; run scripts/kernel fetch or give KSRC=DIR" >&2; \
		exit 1; }
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS_ALL) -isystem $(KSRC)/tools/testing/selftests $(LDFLAGS) -o $@ $< \
		$(out)/libktstr.a $(LDLIBS_ALL)

# Tests in which calls of the host fail.
$(out)/selftests/vmm/test_kvm_faults: override LDFLAGS += -Wl,--wrap=ioctl
host_calls := malloc calloc realloc reallocarray strdup strndup open_memstream fopen fdopen opendir mmap mprotect \
	memfd_create eventfd epoll_create1 epoll_ctl timerfd_create fstat ftruncate fsync rename mkdir pwrite pread \
	pthread_create open openat
$(out)/selftests/vmm/test_host_faults: override LDFLAGS += $(host_calls:%=-Wl,--wrap=%)

# What is pure of arm64, on any machine; in its own library it is already.
ifneq ($(ARCH),arm64)
$(out)/selftests/vmm/test_arm64_fdt: $(out)/vmm/arch/arm64/fdt.o
$(out)/selftests/vmm/test_arm64_fdt: override LDLIBS += $(out)/vmm/arch/arm64/fdt.o -l:libfdt.a

$(out)/selftests/vmm/test_arm64_image: $(out)/vmm/arch/arm64/image.o
$(out)/selftests/vmm/test_arm64_image: override LDLIBS += $(out)/vmm/arch/arm64/image.o $(out)/libktstr.a
endif

# Fails on purpose, for selftests/cli/consumers.t.
mixed := $(out)/selftests/consumers/mixed
$(mixed): selftests/consumers/mixed.c $(out)/libktstr.a
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS_ALL) -isystem $(KSRC)/tools/testing/selftests $(LDFLAGS) -o $@ $< \
		$(out)/libktstr.a $(LDLIBS_ALL)

unit: build-unit
	$(PROVE) --exec '' $(unit_bin) $(replay_bin)

# One target a file; crc32() is wrapped, so that a target can tell how much of it was computed.
fuzz_cflags = $(filter-out -MMD -MP,$(CFLAGS_ALL)) -Wl,--wrap=crc32
fuzz_deps := selftests/fuzz/wrap.c selftests/fuzz/fuzz.h $(out)/libktstr.a
$(out)/selftests/fuzz/replay_%: selftests/fuzz/fuzz_%.c selftests/fuzz/replay.c $(fuzz_deps)
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(fuzz_cflags) -DFUZZ_CORPUS='"$(CURDIR)/selftests/fuzz/corpus/$*"' $(LDFLAGS) -o $@ \
		$(filter %.c %.a,$^) $(LDLIBS_ALL)

$(out)/selftests/fuzz/fuzz_%: selftests/fuzz/fuzz_%.c $(fuzz_deps)
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(fuzz_cflags) -fsanitize=fuzzer $(LDFLAGS) -o $@ $(filter %.c %.a,$^) $(LDLIBS_ALL)

# What a run finds new stays in O/fuzz/corpus; an input that breaks a check is kept in O/fuzz.
SECONDS ?= 60
fuzz_clangs := $(foreach v,30 29 28 27 26 25 24 23 22 21 20 19 18 17 16 15 14,clang-$(v)) clang
FUZZ_CC ?= $(or $(firstword $(foreach c,$(fuzz_clangs),$(shell command -v $(c)))),clang)
fuzz:
	@scripts/setup build fuzz
	+@$(MAKE) --no-print-directory FUZZ=1 O=$(out)/fuzz CC=$(FUZZ_CC) do-fuzz

do-fuzz: $(fuzz_bin)
	for name in $(fuzz_names); do \
		mkdir -p $(out)/corpus/$$name && $(out)/selftests/fuzz/fuzz_$$name -max_len=4096 \
			-max_total_time=$(SECONDS) -timeout=20 -print_final_stats=1 \
			-artifact_prefix=$(out)/ $(out)/corpus/$$name selftests/fuzz/corpus/$$name || exit; \
	done

# Of the devices, what the corpora reach: those of the tree, and what make fuzz has found beside them.
fuzz-coverage:
	@scripts/setup coverage
	+@$(MAKE) --no-print-directory COVERAGE=1 CC=$(FUZZ_CC) O=$(out)/coverage $(fuzz_names:%=$(out)/coverage/selftests/fuzz/replay_%)
	scripts/fuzz-coverage $(out)/coverage $(out)/fuzz/corpus

# The same with ASan and UBSan.
check-debug:
	+@$(MAKE) --no-print-directory DEBUG=1 O=$(out)/debug unit

sched_ext: $(out)/libktstr.a
	+@$(MAKE) --no-print-directory -C selftests O=$(out) KSRC=$(KSRC) $(sched_ext_cross)

# Of the kernel's own suite and schedulers a few, here and in check; all in check-long.
do-run_tests: all sched_ext
	$(call with_kvm,env KTSTR_QUICK=1 $(call budget_s,40) $(PROVE) --exec '' $(sched_bin))

do-check: all unit check-debug sched_ext $(mixed)
	env KTSTR=$(out)/ktstr KSRC=$(KSRC) $(PROVE) --exec '' $(host_tests)
	$(call with_kvm,env KTSTR=$(out)/ktstr KSRC=$(KSRC) KTSTR_QUICK=1 $(call max_cpus,16,4) \
		$(call budget_s,40) $(PROVE) --exec '' $(topology_tests) $(cli_tests) $(sched_bin))

# SLICE=N: one of them, so that continuous integration goes round all of them by a number that grows.
long_tests := $(sort $(wildcard selftests/topology/long-*.t)) $(sort $(wildcard selftests/long/*.t)) \
	$(long_bin)
ifdef SLICE
  long_tests := $(word $(shell expr $(SLICE) % $(words $(long_tests)) + 1),$(long_tests))
endif
do-check-long: all sched_ext
	$(call with_kvm,env KTSTR=$(out)/ktstr $(call max_cpus,4096,64) $(PROVE) --exec '' \
		$(long_tests))

# On another machine than arm64. Each file runs in an emulated arm64 host, whose system is the one of
# the cross build's libraries with the kernel of scripts/kernel; this machine's ktstr starts it.
check-arm64: prepare
ifeq ($(host_arch),arm64)
	@echo 'check-arm64: this is arm64: make check' >&2; exit 1
endif
	@scripts/setup arm64
	@KTSTR_DEBIAN_ARCH=arm64 scripts/kernel fetch
	+@$(MAKE) --no-print-directory $(parallel) all
	+@$(MAKE) --no-print-directory $(parallel) ARCH=arm64 O=$(out)/arm64 build-check-arm64
	+@$(MAKE) --no-print-directory ARCH=arm64 O=$(out)/arm64 HERE=$(out)/ktstr \
		$(if $(TESTS),TESTS="$(TESTS)") do-check-arm64

# Of more CPUs are the long tests' shapes.
arm64_tests := $(out)/selftests/sched_ext/verdicts $(topology_tests)
arm64_long = $(topology_tests) $(addprefix selftests/cli/,files.t disks.t) \
	$(filter-out $(arm64_tests) %/kernel_suite,$(sched_bin))
arm64_cpus := $(if $(filter long,$(TESTS)),KTSTR_MIN_CPUS=5 KTSTR_MAX_CPUS=8,KTSTR_MAX_CPUS=4)
build-check-arm64: all sched_ext $(out)/emulated-agent
do-check-arm64: build-check-arm64
	@cd $(sysroot)/usr/lib && { [ -e modules ] || { rm -rf modules.new && \
		cp -r --reflink=auto $(cache)/$(ARCH)/default/usr/lib/modules modules.new && \
		mv modules.new modules; }; }
	$(HERE) emulated-host pool -n $(jobs) -r $(sysroot) -a $(out)/emulated-agent -- \
		env KTSTR=$(out)/ktstr KTSTR_QUICK=1 $(arm64_cpus) $(PROVE) --exec '$(HERE) emulated-host run --' \
		$(if $(filter long,$(TESTS)),$(arm64_long),$(or $(TESTS),$(arm64_tests)))

# The agent of an emulated host with a system of its own: static, for it starts before that is there.
$(out)/emulated-agent: $(addprefix $(out)/vmm/emulated/,static/main.o agent.o wire.o)
	$(call say,LINK)
	$(Q)$(CC) $(LDFLAGS) -static -o $@ $^

# ---- the rest ----

# Every test program, and none run; by scripts/coverage.
coverage-build: all $(unit_bin) $(replay_bin) sched_ext

coverage: prepare
	@scripts/setup coverage
	+@scripts/coverage $(out)/coverage $(KSRC)

lint: prepare
	@scripts/setup lint
	scripts/lint $(out) $(KSRC)

bench: all $(out)/bench-vm $(out)/bench-channel
	scripts/bench $(out)
	scripts/bench-performance $(out)

# Boot machines with themselves as /init; the first times other monitors, too.
$(out)/bench-vm $(out)/bench-channel: $(out)/bench-%: scripts/bench-%.c $(out)/libktstr.a
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS) -o $@ $^ $(LDLIBS_ALL)

format:
	clang-format -i $$(git ls-files '*.c' '*.h')

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/include/ktstr $(DESTDIR)$(LIBDIR)/pkgconfig \
		$(DESTDIR)$(PREFIX)/libexec/ktstr
	install -m 755 $(out)/ktstr $(DESTDIR)$(PREFIX)/bin/
	install -m 755 scripts/kernel scripts/setup $(DESTDIR)$(PREFIX)/libexec/ktstr/
	install -m 644 config $(DESTDIR)$(PREFIX)/libexec/ktstr/
	install -m 644 include/ktstr/*.h $(DESTDIR)$(PREFIX)/include/ktstr/
	install -m 644 $(out)/libktstr.a $(DESTDIR)$(LIBDIR)/
	sed -e 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@VERSION@|$(VERSION)|' ktstr.pc.in \
		>$(DESTDIR)$(LIBDIR)/pkgconfig/ktstr.pc
	for page in $(wildcard doc/man/*); do \
		dir=$(DESTDIR)$(PREFIX)/share/man/man$${page##*.}; \
		install -d $$dir && install -m 644 $$page $$dir/ || exit; \
	done

clean:
	rm -rf $(out)

-include $(lib_obj:.o=.d) $(cli_obj:.o=.d) $(unit_bin:=.d) $(mixed).d
