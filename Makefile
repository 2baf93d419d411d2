# SPDX-License-Identifier: GPL-2.0-only
# make; make check; make run_tests; make install; make lint; make bench; make format.
# O=DIR builds there; KSRC=DIR is a kernel source tree, KERNEL=FILE the kernel to test.

O ?= build
VERSION := 0.1.0
ARCH := $(subst aarch64,arm64,$(subst x86_64,x86,$(shell uname -m)))
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
CC ?= gcc
PKG_CONFIG ?= pkg-config
SHELL := /bin/bash
.DELETE_ON_ERROR:

out := $(abspath $(O))
cache := $(or $(KTSTR_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/ktstr)
KSRC ?= $(cache)/source/default
packages := libelf zlib

WARN := -Wall -Wextra -Wshadow -Wconversion -Wvla -Werror
ifeq ($(DEBUG),1)
  OPT := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all
else
  OPT := -O2 -D_FORTIFY_SOURCE=2
endif
CFLAGS_ALL = -std=gnu11 -D_GNU_SOURCE -g $(OPT) -fno-omit-frame-pointer $(WARN) -Iinclude -I. -DKTSTR_VERSION=\"$(VERSION)\" \
	$(shell $(PKG_CONFIG) --cflags $(packages)) $(CFLAGS) -MMD -MP
LDLIBS_ALL = $(shell $(PKG_CONFIG) --libs $(packages)) -pthread $(LDLIBS)

lib_src := $(wildcard vmm/*.c vmm/virtio/*.c vmm/arch/$(ARCH)/*.c vmm/emulated/*.c initramfs/*.c guest/*.c)
cli_src := $(wildcard vmm/cli/*.c)
lib_obj := $(lib_src:%.c=$(out)/%.o)
cli_obj := $(cli_src:%.c=$(out)/%.o)
unit_src := $(wildcard selftests/vmm/*.c)
unit_bin := $(unit_src:selftests/vmm/%.c=$(out)/selftests/vmm/%)

.PHONY: all check unit clean
all: $(out)/libktstr.a $(if $(cli_src),$(out)/ktstr)

$(out)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -c -o $@ $<

$(out)/libktstr.a: $(lib_obj)
	rm -f $@ && $(AR) rcs $@ $^

$(out)/ktstr: $(cli_obj) $(out)/libktstr.a
	$(CC) $(CFLAGS_ALL) $(LDFLAGS) -o $@ $^ $(LDLIBS_ALL)

# Unit and device tests: one kselftest binary a file; no kernel is booted.
$(out)/selftests/vmm/%: selftests/vmm/%.c $(out)/libktstr.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -isystem $(KSRC)/tools/testing/selftests $(LDFLAGS) -o $@ $< \
		$(out)/libktstr.a $(LDLIBS_ALL)

unit: $(unit_bin)
	prove -j2 --exec '' $(unit_bin)

check: unit

clean:
	rm -rf $(out)

-include $(lib_obj:.o=.d) $(cli_obj:.o=.d) $(unit_bin:=.d)
