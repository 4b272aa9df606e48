# SPDX-License-Identifier: Apache-2.0
# One Makefile for everything. O= chooses the build directory, V=1 shows commands, SAN=1 builds with
# ASan and UBSan, CC=clang is kept clean too.
O ?= build
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR ?=
CC := $(if $(filter default,$(origin CC)),gcc,$(CC))
PKG_CONFIG ?= pkg-config
Q := $(if $(V),,@)
say = $(if $(V),@:,@printf '  %-7s %s\n' $(1) $(2))

VERSION := 0.1.0
WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings \
	-Wformat=2 -Wundef -Wpointer-arith -Wvla -Wimplicit-fallthrough -Wswitch-enum -Wcast-qual \
	-Wnull-dereference
OPT ?= -O2 -g
# clang wants an extra switch for zero-initialised locals before version 16: gcc only.
HARDEN := -fstack-protector-strong -fPIE \
	$(if $(findstring clang,$(CC)),,-ftrivial-auto-var-init=zero) \
	$(if $(SAN),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=$(if $(findstring clang,$(CC)),2,3))
SANFLAGS := $(if $(SAN),-fsanitize=address$(comma)undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
comma := ,
CFLAGS ?= $(OPT)
ALL_CFLAGS := -std=gnu17 $(WARN) $(HARDEN) $(CFLAGS) $(if $(SAN),-fsanitize=address$(comma)undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
CPPFLAGS += -I. -D_GNU_SOURCE -DVPS_VERSION='"$(VERSION)"' -DVPS_PREFIX='"$(PREFIX)"' -DVPS_SYSCONFDIR='"$(SYSCONFDIR)"'
LDFLAGS += -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(if $(SAN),-fsanitize=address$(comma)undefined)

# Modules, bottom to top: each is one static archive of the .c files of its folder (main.c apart).
MODULES := base cgroups netns images config sandbox keeper instance daemon jobs cli
DIR_base := base
DIR_cgroups := cgroups
DIR_netns := netns
DIR_images := images
DIR_config := config
DIR_sandbox := runtime/sandbox
DIR_keeper := runtime/keeper
DIR_instance := runtime/instance
DIR_daemon := runtime/daemon
DIR_jobs := runtime/jobs
DIR_cli := cli

# What a module may link besides itself; its unit tests link exactly this.
DEPS_base :=
DEPS_cgroups := base
DEPS_netns := base
DEPS_images := base
DEPS_config := base
DEPS_sandbox := base
DEPS_keeper := sandbox base
DEPS_instance := keeper sandbox config images cgroups netns base
DEPS_daemon := instance keeper sandbox config images cgroups netns base
DEPS_jobs := config images cgroups netns base
DEPS_cli := base
LIBS_base := jansson
LIBS_cgroups :=
LIBS_netns := libmnl
LIBS_images := libarchive nettle
LIBS_config := jansson libseccomp
LIBS_sandbox :=
LIBS_keeper :=
LIBS_instance := sqlite3 libsystemd jansson
LIBS_daemon := libmicrohttpd sqlite3 libsystemd jansson
LIBS_jobs := libarchive nettle libseccomp libnftables jansson
LIBS_cli := jansson

# Programs: main.c of a module, and how it is linked.
PROGRAMS := vpsd vps-keeper vps-job vps
MODULE_vpsd := daemon
MODULE_vps-keeper := keeper
MODULE_vps-job := jobs
MODULE_vps := cli
# The keeper is static (fatal warnings: nothing of NSS may sneak in) and takes base without JSON.
LINK_vps-keeper := $(if $(SAN),,-static-pie -Wl,--fatal-warnings)
NOLIBS_vps-keeper := 1
LINK_vpsd := -pthread

srcs = $(sort $(wildcard $(DIR_$(1))/*.c))
libsrcs = $(filter-out %/main.c,$(call srcs,$(1)))
objs = $(patsubst %.c,$(O)/obj/%.o,$(1))
archive = $(O)/lib/$(1).a
libs_of = $(sort $(foreach m,$(1) $(DEPS_$(1)),$(LIBS_$(m))))
pkglibs = $(if $(strip $(1)),$(shell $(PKG_CONFIG) --libs $(1)))

BINS := $(PROGRAMS:%=$(O)/%)
# One for each kind of document: `vpsd --schema KIND` says it.
SCHEMAS := $(patsubst %,$(O)/schemas/%.schema.json,host plan tenant)
UNIT_SRCS := $(sort $(wildcard tests/unit/*/test_*.c))
UNIT_BINS := $(UNIT_SRCS:tests/unit/%.c=$(O)/unit/%)
HELPER_SRCS := $(sort $(wildcard tests/helpers/*.c))
HELPER_BINS := $(HELPER_SRCS:tests/helpers/%.c=$(O)/helpers/%)

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all deps test unit demo shell lint format format-check install uninstall clean bench-neighbour bench-net help asan analyze

all: $(BINS) $(SCHEMAS)

help:
	@echo 'targets: deps all test unit demo shell lint format format-check bench-neighbour bench-net asan analyze install uninstall clean'

deps:
	$(Q)tests/deps

$(O)/obj/%.o: %.c Makefile
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

define module_rule
$(call archive,$(1)): $$(call objs,$$(call libsrcs,$(1)))
	$$(call say,AR,$$@)
	@mkdir -p $$(@D)
	$$(Q)rm -f $$@ && ar rcs $$@ $$^
endef
$(foreach m,$(MODULES),$(eval $(call module_rule,$(m))))

define program_rule
$(O)/$(1): $$(call objs,$(DIR_$(MODULE_$(1)))/main.c) $$(foreach m,$(MODULE_$(1)) $(DEPS_$(MODULE_$(1))),$$(call archive,$$(m)))
	$$(call say,LINK,$$@)
	$$(Q)$$(CC) $$(ALL_CFLAGS) $(LINK_$(1)) $$(if $(findstring static-pie,$(LINK_$(1))),-Wl$$(comma)-z$$(comma)relro$$(comma)-z$$(comma)now,$$(LDFLAGS)) -o $$@ $$< \
		-Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group $$(if $(NOLIBS_$(1)),,$$(call pkglibs,$$(call libs_of,$(MODULE_$(1)))))
endef
$(foreach p,$(PROGRAMS),$(eval $(call program_rule,$(p))))

$(O)/schemas/%.schema.json: $(O)/vpsd
	$(call say,SCHEMA,$@)
	@mkdir -p $(@D)
	$(Q)$< --schema $* >$@

# Unit tests: tests/unit/MODULE/test_NAME.c links its module, what that may use, and cmocka.
define unit_rules
$(O)/unit/$(1)/%: $(O)/obj/tests/unit/$(1)/%.o $$(foreach m,$(1) $(DEPS_$(1)),$$(call archive,$$(m)))
	$$(call say,LINK,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(ALL_CFLAGS) -pthread $$(LDFLAGS) -o $$@ $$< -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group \
		$$(call pkglibs,$$(call libs_of,$(1)) cmocka)
endef
$(foreach m,$(MODULES),$(eval $(call unit_rules,$(m))))

# Small static programs that tests run inside guests.
$(O)/helpers/%: tests/helpers/%.c Makefile
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -std=gnu17 $(WARN) -O2 -static -o $@ $<

# The sandbox alone, for tests/integration/sandbox.bats.
$(O)/tests/sbx_probe: $(O)/obj/tests/sandbox/sbx_probe.o $(call archive,sandbox) $(call archive,base)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -static-pie -Wl,-z,relro,-z,now -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group

# cgroups/ as commands, for tests/integration/cgroups.bats.
$(O)/tests/cg_probe: $(O)/obj/tests/cgroups/cg_probe.o $(call archive,cgroups) $(call archive,base)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^

# Mechanisms of the network as commands, for the tests of that name and tests/bench/net.
NET_PROBES := $(addprefix $(O)/tests/,link_probe filter_probe shape_probe)
$(NET_PROBES): $(O)/tests/%: $(O)/obj/tests/netns/%.o $(call archive,netns) $(call archive,base)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(call pkglibs,$(LIBS_netns))

# A client of vps-keeper, for tests/integration/keeper.bats.
$(O)/tests/keeper_probe: $(O)/obj/tests/keeper/keeper_probe.o $(foreach m,keeper sandbox base,$(call archive,$(m)))
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group

unit: $(UNIT_BINS)
	$(Q)tests/run unit $(UNIT_BINS)

unit-bins: $(UNIT_BINS)
helpers: $(HELPER_BINS) $(addprefix $(O)/tests/,sbx_probe cg_probe keeper_probe) $(NET_PROBES)

test: deps
	$(Q)tests/run all

demo: deps
	$(Q)$(MAKE) --no-print-directory all helpers
	$(Q)O=$(O) tests/demo/run

shell: deps
	$(Q)$(MAKE) --no-print-directory all helpers
	$(Q)O=$(O) tests/demo/run --shell

C_FILES = $(shell git ls-files -co --exclude-standard '*.c' '*.h')
SH_FILES = $(shell git grep -lI --untracked -E '^\#!.*\b(ba)?sh\b' -- . 2>/dev/null)

# What a victim loses to its neighbour; TIME= minutes, 45 if not said.
bench-neighbour: deps
	$(Q)$(MAKE) --no-print-directory all helpers
	$(Q)O=$(O) tests/bench/neighbour/run $(if $(TIME),--time $(TIME))

# How well rates are held on this machine's kernel, and what it costs; root.
bench-net: deps
	$(Q)$(MAKE) --no-print-directory all helpers
	$(Q)O=$(O) tests/bench/net/run

format:
	$(Q)clang-format -i $(C_FILES)
format-check:
	$(Q)clang-format --dry-run --Werror $(C_FILES)
lint: format-check
	$(Q)tests/lint/run

asan:
	$(Q)$(MAKE) --no-print-directory O=$(O)/asan SAN=1 unit
analyze:
	$(Q)tests/lint/analyze

# Installing. PREFIX is compiled in (helpers, shipped defaults), SYSCONFDIR too: give the same ones to
# `make` and to `make install`. Units of a distribution's package (PREFIX=/usr) go where systemd says.
ifeq ($(PREFIX),/usr)
UNITDIR ?= $(or $(shell $(PKG_CONFIG) --variable=systemdsystemunitdir systemd 2>/dev/null),/lib/systemd/system)
else
UNITDIR ?= $(PREFIX)/lib/systemd/system
endif
SYSCTLDIR ?= $(PREFIX)/lib/sysctl.d
MANDIR ?= $(PREFIX)/share/man
SHAREDIR := $(PREFIX)/share/vpsd
UNITS := vpsd.service vps-guests.service
MANS := $(notdir $(wildcard docs/*.[58]))
DEFAULTS := $(patsubst config/defaults/%,%,$(wildcard config/defaults/*.json config/defaults/*/*.json config/defaults/*.nft))
# What an operator edits is copied once; the tenants are an example only, and a copy of a seccomp
# profile or of the packet filter's rules would stand in the way of its next version.
OWN := $(filter-out tenants/% seccomp/% %.nft,$(DEFAULTS))

install: all
	$(call say,INSTALL,$(DESTDIR)$(PREFIX))
	$(Q)install -D -m 755 -t $(DESTDIR)$(PREFIX)/sbin $(O)/vpsd
	$(Q)install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin $(O)/vps
	$(Q)install -D -m 755 -t $(DESTDIR)$(PREFIX)/libexec/vpsd $(O)/vps-job
	$(Q)install -D -m 700 -t $(DESTDIR)$(PREFIX)/libexec/vpsd $(O)/vps-keeper
	$(Q)install -D -m 644 packaging/sysctl.d/vpsd.conf $(DESTDIR)$(SYSCTLDIR)/50-vpsd.conf
	$(Q)install -d $(DESTDIR)$(UNITDIR) $(DESTDIR)$(SYSCONFDIR)/vpsd/tenants
	$(Q)for f in $(UNITS); do sed 's|@PREFIX@|$(PREFIX)|g' packaging/$$f.in >$(DESTDIR)$(UNITDIR)/$$f && \
		chmod 644 $(DESTDIR)$(UNITDIR)/$$f || exit 1; done
	$(Q)for f in $(MANS); do install -D -m 644 docs/$$f $(DESTDIR)$(MANDIR)/man$${f##*.}/$$f || exit 1; done
	$(Q)for f in $(DEFAULTS); do install -D -m 644 config/defaults/$$f $(DESTDIR)$(SHAREDIR)/defaults/$$f || exit 1; done
	$(Q)install -D -m 644 -t $(DESTDIR)$(SHAREDIR)/schemas $(SCHEMAS)
	$(Q)for f in $(OWN); do [ -e $(DESTDIR)$(SYSCONFDIR)/vpsd/$$f ] || \
		install -D -m 644 config/defaults/$$f $(DESTDIR)$(SYSCONFDIR)/vpsd/$$f || exit 1; done

# What install made, except the operator's documents and everything that vpsd made.
uninstall:
	$(call say,REMOVE,$(DESTDIR)$(PREFIX))
	$(Q)rm -f $(addprefix $(DESTDIR)$(PREFIX)/,sbin/vpsd bin/vps) $(DESTDIR)$(SYSCTLDIR)/50-vpsd.conf \
		$(UNITS:%=$(DESTDIR)$(UNITDIR)/%) $(foreach f,$(MANS),$(DESTDIR)$(MANDIR)/man$(subst .,,$(suffix $(f)))/$(f))
	$(Q)rm -rf $(DESTDIR)$(PREFIX)/libexec/vpsd $(DESTDIR)$(SHAREDIR)

clean:
	rm -rf $(O)

-include $(shell find $(O)/obj -name '*.d' 2>/dev/null)
